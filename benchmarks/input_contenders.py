"""Measures the pictures of 180x180 that an input pipeline provides. `benchmarks.input` runs it.

  python -m benchmarks.input_contenders NAME DIR CORES SECONDS

Prints `pictures wall cpu` of a window after a warm-up. CPU time is that of the process and its
descendants. Contenders import their libraries in functions, because no environment has all of
them. `benchmarks.input_files` writes their data.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import input_others, input_ours
from benchmarks.input_memory import Counts

WARM_UP_SECONDS = 2.0

CONTENDERS: dict[str, Callable[[Path, int], Counts]] = {
    function.__name__: function
    for function in (
        input_others.limit,
        input_ours.ours_uint8,
        input_ours.ours_in_graph,
        input_ours.ours_picture_records,
        input_ours.ours_flip_shuffle,
        input_ours.ours_floats,
        input_others.thesis,
        input_others.torch_pil,
        input_others.torch_simplejpeg,
        input_others.webdataset,
        input_others.grain,
        input_others.grain_memory,
        input_others.dali,
    )
}

PARTS: dict[str, Callable[[Path, int], Counts]] = {
    function.__name__: function
    for function in (
        input_ours.ours_decoding,
        input_ours.ours_without_decoding,
    )
}


def cpu_seconds(pid: int) -> float:
    """Returns user and system time of a process and its descendants, including ended ones."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2].split()
    total = sum(int(field) for field in fields[11:15]) / os.sysconf('SC_CLK_TCK')
    for task in Path(f'/proc/{pid}/task').glob('*/children'):
        total += sum(cpu_seconds(int(child)) for child in task.read_text().split())
    return total


def measure(counts: Counts, *, seconds: float) -> tuple[int, float, float]:
    """Returns pictures, wall seconds and CPU seconds of a window after the warm-up."""
    end = time.monotonic() + WARM_UP_SECONDS
    while time.monotonic() < end:
        next(counts)
    pictures, start, cpu = 0, time.monotonic(), cpu_seconds(os.getpid())
    while time.monotonic() < start + seconds:
        pictures += next(counts)
    return pictures, time.monotonic() - start, cpu_seconds(os.getpid()) - cpu


def main(argv: list[str]) -> None:
    name, folder, cores, seconds = argv[1:]
    counts = (CONTENDERS | PARTS)[name](Path(folder), int(cores))
    print(*measure(counts, seconds=float(seconds)), flush=True)
    os._exit(0)  # does not wait for workers and threads that still prefetch


if __name__ == '__main__':
    main(sys.argv)
