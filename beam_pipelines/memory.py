"""What glibc is told about a run's memory: freed memory is used again, and taken in large pages.

Left alone, it gives each thread a heap of its own, and Beam starts many threads: freed tables stay
where only one thread finds them. A run of two workers on 4 GB of input then peaks a half higher,
and takes a fifth longer, for fresh memory costs more than used. Taken page by page it costs most:
with pages of 2 MB such a run has an eighth of the page faults and takes an eighth less CPU.

What Beam sends between processes comes in pieces of 10 MB and more. Workers give such a piece back
as soon as it is freed: among smaller ones the hole that it leaves would stay, a tenth of the peak.
The driver, which was started without large pages, uses it again: fresh pages were a third of its
work, for which the workers wait. Elsewhere nothing is done.
"""

import contextlib
import ctypes
import os

_ARENA_VARIABLE = 'MALLOC_ARENA_MAX'
_TUNABLES_VARIABLE = 'GLIBC_TUNABLES'
_TUNABLES = {
    'hugetlb': 1,  # large pages, by madvise; known since glibc 2.35, passed over before
    'mmap_threshold': 9 << 20,  # bytes of a piece that is given back
    'trim_threshold': 64 << 20,  # free bytes at the heap's end that are
}
_NEVER_BYTES = 1 << 30
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # mallopt's


def tell_allocator() -> None:
    """Tells it to this process, the driver, and to those that it starts.

    What the user has set stays.
    """
    told = {}
    if _TUNABLES_VARIABLE not in os.environ:
        told = {_M_MMAP_THRESHOLD: _NEVER_BYTES, _M_TRIM_THRESHOLD: _NEVER_BYTES}
        os.environ[_TUNABLES_VARIABLE] = ':'.join(
            f'glibc.malloc.{name}={value}' for name, value in _TUNABLES.items()
        )
    if _ARENA_VARIABLE not in os.environ:
        told[_M_ARENA_MAX] = 1
        os.environ[_ARENA_VARIABLE] = '1'
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in told.items():
            mallopt(parameter, value)
