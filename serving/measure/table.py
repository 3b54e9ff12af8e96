"""The deployment table: a row for each measured model."""

from collections.abc import Sequence

from serving.measure.result import BATCHES, Measurement

_HEADER = (
    'model', 'runtime', 'size', 'load',
    *(f'picture (batch {batch})' for batch in BATCHES),
    'FLOPs', 'memory', 'accuracy', 'lost',
)  # fmt: skip


def format_table(folders: Sequence[str], measured: Sequence[Measurement]) -> str:
    """Returns the table as text; the accuracy lost is that of the first model less a model's."""
    rows = [_HEADER]
    for folder, one in zip(folders, measured, strict=True):
        rows.append(
            (
                folder,
                one.description,
                f'{one.size_bytes / 1e6:,.1f} MB',
                f'{one.load_seconds:.1f} s',
                *(f'{1000 * seconds:.1f} ms' for seconds in one.picture_seconds),
                f'{one.flops / 1e6:,.0f} M',
                f'{one.memory_bytes / 1e6:,.0f} MB',
                _percent(one.accuracy),
                _lost(measured[0].accuracy, one.accuracy),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        '  '.join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return '\n'.join([lines[0], '-' * max(map(len, lines)), *lines[1:]])


def _percent(share: float | None) -> str:
    return '-' if share is None else f'{share:.1%}'


def _lost(first: float | None, own: float | None) -> str:
    return '-' if first is None or own is None else f'{100 * (first - own):.1f} points'
