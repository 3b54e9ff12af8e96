"""Text tables for the terminal: aligned, without colours or boxes, so that they pipe well."""

from collections.abc import Sequence

from catalog import terminal


def format_table(
    rows: Sequence[Sequence[str]], *, header: Sequence[str] = (), align: str = ''
) -> str:
    """Returns rows of cells as aligned lines.

    Args:
      rows: Of equal length.
      header: Titles of the columns.
      align: `l` or `r` for each column; by default the first is left-aligned, the others right.
    """
    lines = [list(map(terminal.escape, row)) for row in ([header, *rows] if header else rows)]
    if not lines:
        return ''
    align = align or 'l' + 'r' * (len(lines[0]) - 1)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [_line(cells, widths, align) for cells in lines]
    if header:
        text.insert(1, '-' * (sum(widths) + 2 * (len(widths) - 1)))
    return '\n'.join(text)


def _line(cells: Sequence[str], widths: Sequence[int], align: str) -> str:
    padded = [
        cell.ljust(width) if side == 'l' else cell.rjust(width)
        for cell, width, side in zip(cells, widths, align, strict=True)
    ]
    return '  '.join(padded).rstrip()


def percent(share: float) -> str:
    """Returns a share as `85.3 %`."""
    return f'{100 * share:.1f} %'


def bar(share: float, *, width: int = 24) -> str:
    """Returns a bar of `#` for a share in [0, 1], empty for 0."""
    return '#' * (max(1, round(share * width)) if share > 0 else 0)
