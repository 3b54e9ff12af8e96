"""Hides the messages about absent hardware that a library prints while it loads, and a few others.

TensorFlow writes them to the file descriptor before its own log level takes effect. An error
message would follow six lines of them. oneDNN's note on types that this CPU lacks comes once, with
the first operation on such a type: run one inside the block.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_KNOWN = re.compile(
    rb'WARNING: All log messages before absl::InitializeLog'
    rb'|To enable the following instructions: .* rebuild TensorFlow'
    rb'|[IWE]0000 .*(oneDNN custom operations|oneDNN supports DT_)'
    rb'|\d+ ops no flops stats due to incomplete shapes\.'  # the profiler
    rb'|[IWE]0000 .*(cudart_stub|cuda_platform|cpu_feature_guard)'
)


@contextlib.contextmanager
def hide() -> Iterator[None]:
    """Buffers standard error until the block ends, then writes all but the known messages."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            for line in file:
                if not _KNOWN.match(line):
                    os.write(2, line)
