"""Builds the study's tables from literal results."""

import numpy as np
import pytest
from scipy import stats

from benchmarks import study_cells, study_tables
from benchmarks.study_cells import Cell, Data, Row, Table

FIRST, SECOND = (Cell(name, Data(10)) for name in ('first', 'second'))
TABLE = Table(
    'Two', (Row('one', FIRST), Row('two', SECOND), Row('single', FIRST, single_views=True))
)
PRIOR = [0.75, 0.25]


def _result(*recalls: float) -> dict:
    return {'recalls': recalls, 'natural_prior': PRIOR, 'accuracy_alone': 0.25, 'seconds': 30.0}


RESULTS = {
    ('first', 0): _result(0.8, 0.4),
    ('first', 1): _result(0.9, 0.5),
    ('first', 2): _result(0.8, 0.5),
    ('second', 0): _result(0.8, 0.6),
    ('second', 1): _result(0.9, 0.7),
    ('second', 2): _result(0.8, 0.72),
    ('first', 3): _result(0.1, 0.1),  # `second` has no result for seed 3 yet
}


def _cells(text: str, title: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(f'| {title} |'))
    return [cell.strip() for cell in line.split('|')[2:-1]]


def test_a_row_has_means_and_intervals_over_the_common_seeds() -> None:
    text = study_tables.table(TABLE, RESULTS, seeds=range(5))
    assert 'Seeds: 3.' in text
    uniform = np.array([0.6, 0.7, 0.65])
    low, high = stats.t.interval(0.95, 2, uniform.mean(), stats.sem(uniform))
    natural, _, equal, _ = _cells(text, 'one')
    assert natural == '74.2 ± 12.9'  # 0.7, 0.8, 0.725: a deviation of 0.052 and t of 4.303
    assert equal == f'65.0 ± {50 * (high - low):.1f}'


def test_differences_are_paired_by_seed_and_bold_if_significant() -> None:
    _, by_nature, _, by_class = _cells(study_tables.table(TABLE, RESULTS, seeds=range(5)), 'two')
    # 0.2, 0.2 and 0.22 in the second class, which has weight 1/4 and 1/2.
    assert by_class == '**+10.3 ± 1.4**'
    assert by_nature == '**+5.2 ± 0.7**'


def test_with_a_single_seed_nothing_is_significant() -> None:
    _, _, equal, by_class = _cells(study_tables.table(TABLE, RESULTS, seeds=[0]), 'two')
    assert equal == '70.0 ± inf'
    assert by_class == '+10.0 ± inf'


def test_single_views_have_only_their_own_accuracy() -> None:
    text = study_tables.table(TABLE, RESULTS, seeds=range(5))
    assert _cells(text, 'single')[:3] == ['', '', '25.0 ± 0.0']


def test_every_cell_of_the_study_has_a_valid_config_and_a_unique_name() -> None:
    from trainer.config import files

    cells = study_cells.cells()
    assert len({cell.name for cell in cells}) == len(cells)
    for cell in cells:
        files.load('configs/tiny.py', cell.overrides)


@pytest.mark.parametrize('found', study_cells.TABLES, ids=lambda table: table.title)
def test_a_table_without_results_shows_a_note(found: Table) -> None:
    assert 'No results yet.' in study_tables.table(found, {}, seeds=range(5))
