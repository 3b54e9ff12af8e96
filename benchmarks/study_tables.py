"""Formats the study's results as Markdown tables. Pure: results in, text out.

The test data is Fashion-MNIST's own: 10,000 correctly labelled photos, a thousand per class.
`uniform` accuracy is the mean of the classes' recalls. `natural` accuracy is their mean weighted by
the natural prior of the cell's train data.
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
    """Returns the accuracy under a uniform class prior."""
    if row.single_views:
        return float(result['accuracy_alone'])
    return float(np.mean(result['recalls']))


def natural(row: Row, result: Mapping[str, object]) -> float:
    """Returns the accuracy under the natural class prior; NaN for single views."""
    if row.single_views:
        return float('nan')
    return float(np.average(result['recalls'], weights=result['natural_prior']))


def half_width(values: Floats) -> float:
    """Returns half the confidence interval of the mean, by Student's t; infinite for one seed."""
    if len(values) < 2:
        return float('inf')
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return float(quantile * values.std(ddof=1) / np.sqrt(len(values)))


def _percent(values: Floats) -> str:
    if np.isnan(values).any():
        return ''
    return f'{100 * values.mean():.1f} ± {100 * half_width(values):.1f}'


def _difference(values: Floats, reference: Floats) -> str:
    """Formats the mean paired difference; bold if its interval excludes 0."""
    difference = values - reference
    if np.isnan(difference).any() or not difference.any():
        return ''
    text = f'{100 * difference.mean():+.1f} ± {100 * half_width(difference):.1f}'
    return f'**{text}**' if abs(difference.mean()) > half_width(difference) else text


def table(found: Table, results: Results, *, seeds: Sequence[int]) -> str:
    """Formats a table over the seeds for which all of its cells have results."""
    seeds = [s for s in seeds if all((row.cell.name, s) in results for row in found.rows)]
    if not seeds:
        return f'### {found.title}\n\nNo results yet.\n'
    lines = [
        f'### {found.title}',
        '',
        f'Seeds: {len(seeds)}. Accuracy in per cent, with {CONFIDENCE:.0%} intervals.',
        '',
        '| | natural | difference to first row | uniform | difference to first row |',
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
    """Formats all tables."""
    seconds = [float(result['seconds']) for result in results.values()]
    spent = f'Runs: {len(seconds)}, {np.mean(seconds):.0f} s each.' if seconds else 'No runs yet.'
    return '\n'.join([spent, '', *(table(one, results, seeds=seeds) for one in tables)])
