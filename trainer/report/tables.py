"""Tables for the terminal: plain text, aligned. No colour, no box, so that it pipes well."""

from collections.abc import Sequence


def format_table(
    rows: Sequence[Sequence[str]], *, header: Sequence[str] = (), align: str = ''
) -> str:
    """Rows of cells as lines.

    Args:
      rows: of one length.
      header: over the columns.
      align: `l` or `r` a column; by default the first is flush left, the others flush right.
    """
    lines = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
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
    """`0.85321` -> `85.3 %`."""
    return f'{100 * share:.1f} %'


def bar(share: float, *, width: int = 24) -> str:
    """A share in [0, 1] as a line of `#`, empty where it is 0."""
    return '#' * (max(1, round(share * width)) if share > 0 else 0)
