"""Hides the notes that a library's start writes about what this machine does not have.

TensorFlow writes them to the file descriptor, before any setting of its own could stop it; a user's
mistake would be told below six lines of them.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_NOTE = re.compile(
    rb'WARNING: All log messages before absl::InitializeLog'
    rb'|To enable the following instructions: .* rebuild TensorFlow'
    rb'|[IWE]0000 .*(oneDNN custom operations|cudart_stub|cuda_platform|cpu_feature_guard)'
)


@contextlib.contextmanager
def hide() -> Iterator[None]:
    """Keeps standard error until the block ends, then writes what is not a known note."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            for line in file:
                if not _NOTE.match(line):
                    os.write(2, line)
