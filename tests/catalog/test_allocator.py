"""Counts the pages that a process takes from the system, with and without reuse."""

import os
import platform
import subprocess
import sys

import pytest

from catalog.process import allocator

# Allocates and frees batches of 40 MB; a page may be 4 KB or 2 MB.
CODE = """
import resource
from catalog.process import allocator
{first}
def batch():
    return len(bytearray(b'x') * (40 << 20))
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
batch()
before = faults()
for _ in range(30):
    batch()
print(faults() - before)
"""

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != 'glibc', reason='the settings are for glibc'
)


def new_pages(first: str, **environment: str) -> int:
    """Returns the number of pages that thirty batches took from the system."""
    inherited = {name: x for name, x in os.environ.items() if 'MALLOC' not in name}
    inherited.pop('GLIBC_TUNABLES', None)
    done = subprocess.run(
        [sys.executable, '-c', CODE.format(first=first)],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_freed_memory_is_reused() -> None:
    assert new_pages('allocator.keep_freed_memory()') < new_pages('pass') / 10


def test_environment_variables_have_the_same_effect() -> None:
    assert new_pages('pass', **allocator.environment()) < new_pages('pass') / 10


@pytest.mark.parametrize(
    ('variable', 'value'),
    [
        ('MALLOC_MMAP_THRESHOLD_', '1048576'),
        ('GLIBC_TUNABLES', 'glibc.malloc.mmap_threshold=1048576'),
    ],
)
def test_settings_of_the_user_take_precedence(variable: str, value: str) -> None:
    left = new_pages('allocator.keep_freed_memory()', **{variable: value})
    assert left > new_pages('pass') / 2
