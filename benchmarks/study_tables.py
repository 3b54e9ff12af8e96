"""The study's results as tables in Markdown. Pure: results in, text out.

The test photos are Fashion-MNIST's own 10,000, a thousand a class, whose labels are right. Accuracy
where all classes are alike (`uniform`) is the mean of the classes' recalls; where they are as in
the train data (`natural`), their mean weighted by the natural prior of the cell's data.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.study_cells import Row, Table

CONFIDENCE = 0.95

Floats = npt.NDArray[np.float64]  # [seeds]
Results = Mapping[tuple[str, int], Mapping[str, object]]  # by cell and seed


def uniform(row: Row, result: Mapping[str, object]) -> float:
    """Accuracy where all classes are alike."""
    if row.alone:
        return float(result['accuracy_alone'])
    return float(np.mean(result['recalls']))


def natural(row: Row, result: Mapping[str, object]) -> float:
    """Accuracy where classes are as in the train data; unknown for views alone."""
    if row.alone:
        return float('nan')
    return float(np.average(result['recalls'], weights=result['natural_prior']))


def half_width(values: Floats) -> float:
    """Of the interval of a mean over seeds, by Student's t; without end for a single seed."""
    if len(values) < 2:
        return float('inf')
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return float(quantile * values.std(ddof=1) / np.sqrt(len(values)))


def _percent(values: Floats) -> str:
    if np.isnan(values).any():
        return ''
    return f'{100 * values.mean():.1f} ± {100 * half_width(values):.1f}'


def _difference(values: Floats, reference: Floats) -> str:
    """Of pairs of the same seed; bold where the interval leaves out 0."""
    difference = values - reference
    if np.isnan(difference).any() or not difference.any():
        return ''
    text = f'{100 * difference.mean():+.1f} ± {100 * half_width(difference):.1f}'
    return f'**{text}**' if abs(difference.mean()) > half_width(difference) else text


def table(found: Table, results: Results, *, seeds: Sequence[int]) -> str:
    """A table, of the seeds for which all of its cells have results."""
    seeds = [s for s in seeds if all((row.cell.name, s) in results for row in found.rows)]
    if not seeds:
        return f'### {found.title}\n\nNo results yet.\n'
    lines = [
        f'### {found.title}',
        '',
        f'Seeds: {len(seeds)}. Per cent, with {CONFIDENCE:.0%} intervals.',
        '',
        '| | natural | against the first | uniform | against the first |',
        '|---|---|---|---|---|',
    ]
    values = {
        row: tuple(
            np.array([measure(row, results[row.cell.name, seed]) for seed in seeds])
            for measure in (natural, uniform)
        )
        for row in found.rows
    }
    first = values[found.rows[0]]
    for row, columns in values.items():
        cells = [
            text
            for column, reference in zip(columns, first, strict=True)
            for text in (_percent(column), _difference(column, reference))
        ]
        lines.append(f'| {row.title} | {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def document(tables: Sequence[Table], results: Results, *, seeds: Sequence[int]) -> str:
    """All tables."""
    seconds = [float(result['seconds']) for result in results.values()]
    spent = f'{len(seconds)} runs, {np.mean(seconds):.0f} s each.' if seconds else 'No runs yet.'
    return '\n'.join([spent, '', *(table(one, results, seeds=seeds) for one in tables)])
