"""Shows the progress of a run on this machine: one bar over the source's bytes.

Workers may be separate processes: each appends a line to one file for a range that it scanned or a
shard that it wrote, and a thread of the driver shows the sum. Without a terminal, nothing is shown.
"""

import contextlib
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from catalog.process.progress import Progress

_EVERY_SECONDS = 0.5
_MB = 1e6

_Event = Literal['scanned_bytes', 'planned_shards', 'written_shards', 'predicted_bytes']


@dataclass(frozen=True)
class Meter:
    """Collects the progress of workers.

    Attributes:
      path: File to append to. Empty if the progress is not shown.
    """

    path: str = ''

    def add(self, event: _Event, number: int) -> None:
        """Adds to the number of an event."""
        if not self.path:
            return
        with contextlib.suppress(OSError):  # a full disk here need not end the job
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                os.write(file, f'{event} {number}\n'.encode())
            finally:
                os.close(file)


@contextlib.contextmanager
def show_progress(
    source_bytes: int, *, local: bool, name: str = 'shard', passes: int = 2
) -> Iterator[Meter]:
    """Shows the progress that a meter collects, while the block runs.

    Args:
      source_bytes: Size of the source.
      local: Whether the workers see the driver's files.
      name: Name of the job.
      passes: How often the source is read: two passes are a scan and then writing.
    """
    if not (local and sys.stderr.isatty()):
        yield Meter()
        return
    bar = Progress(name, total=passes * source_bytes / _MB, unit='MB')
    ended = threading.Event()
    with tempfile.TemporaryDirectory(prefix='shard-meter-') as folder:
        meter = Meter(os.path.join(folder, 'done'))
        thread = threading.Thread(target=_watch, args=(meter, bar, source_bytes, ended))
        thread.start()
        try:
            yield meter
        finally:
            ended.set()
            thread.join()
            bar.close()


def _watch(meter: Meter, bar: Progress, source_bytes: int, ended: threading.Event) -> None:
    done: Counter[str] = Counter()
    cut = b''  # a line that is not complete yet
    bar.update(0, _phase(done))
    with open(meter.path, 'a+b') as file:
        file.seek(0)
        while True:
            last = ended.wait(_EVERY_SECONDS)
            *lines, cut = (cut + file.read()).split(b'\n')
            for line in lines:
                event, number = line.split()
                done[event.decode()] += int(number)
            bar.update(_done_bytes(done, source_bytes) / _MB, _phase(done))
            if last:
                return


def _done_bytes(done: Counter[str], source_bytes: int) -> float:
    """Returns the bytes scanned, and those written in proportion to the shards."""
    if predicted := done['predicted_bytes']:
        return min(predicted, source_bytes)
    shards = done['planned_shards']
    if not shards:
        return min(done['scanned_bytes'], source_bytes)
    # A runner may write a shard twice.
    return source_bytes * (1 + min(done['written_shards'] / shards, 1))


def _phase(done: Counter[str]) -> str:
    if done['predicted_bytes']:
        return 'predict'
    return 'write' if done['planned_shards'] else 'scan'


def measure_counters(counters: Mapping[str, int], source_bytes: int) -> tuple[float, str]:
    """Returns the share of the work that is done, in [0, 1], and the phase.

    Args:
      counters: Beam's counters of the job (`pipeline.counters`).
      source_bytes: Size of the source.
    """
    done = Counter(
        scanned_bytes=counters.get('bytes_scanned', 0),
        planned_shards=counters.get('shards_planned', 0),
        written_shards=counters.get('shards_written', 0) + counters.get('shards_found_written', 0),
    )
    return _done_bytes(done, source_bytes) / max(2 * source_bytes, 1), _phase(done)
