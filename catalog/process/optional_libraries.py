"""Skips libraries that Keras imports if they are installed, for functions that are not used here.

Keras is imported with TensorFlow. pandas and scikit-learn serve `fit` and its wrappers, matplotlib
the plots of images. Together they take a quarter of the time of the imports (python -X importtime).
"""

import contextlib
import sys
from collections.abc import Iterator

_SKIPPED = ('matplotlib', 'pandas', 'sklearn')


@contextlib.contextmanager
def skip() -> Iterator[None]:
    """Imports of these libraries fail until the block ends, as if they were not installed.

    A library that is loaded already is used. For the start of a process, while it has one thread.
    """
    absent = [name for name in _SKIPPED if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # makes `import` fail
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
