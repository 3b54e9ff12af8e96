"""What glibc is told about a process's memory: keep what is freed, and use it again.

Left alone, it takes a large piece from the system and gives it back when freed, over and over, and
gives each thread a heap of its own. A page fresh from the system cost 2.5 us on a virtual machine:
where batches of pictures come and go, up to half of the time, and more memory at the peak.
"""

import contextlib
import ctypes
import os
from typing import Final

_NEVER_BYTES = 1 << 30
# As mallopt(3) numbers a setting, and as a process reads it from its environment when it starts.
_TOLD: Final = (
    (-1, 'MALLOC_TRIM_THRESHOLD_', _NEVER_BYTES),  # free bytes at the heap's end to give back
    (-3, 'MALLOC_MMAP_THRESHOLD_', _NEVER_BYTES),  # of a piece that is not taken from the heap
    (-8, 'MALLOC_ARENA_MAX', 1),  # heaps of a process
)
_TUNABLES = 'GLIBC_TUNABLES'  # another way to say all of it


def keep_freed_memory() -> None:
    """Tells it to this process, for what it takes from now on.

    What the user has set in the environment stays. Elsewhere than on glibc nothing is done.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, variable, value in _TOLD:
            if not os.environ.keys() & {variable, _TUNABLES}:
                mallopt(parameter, value)


def environment() -> dict[str, str]:
    """The same, for a process that is yet to be started."""
    return {variable: str(value) for _, variable, value in _TOLD}
