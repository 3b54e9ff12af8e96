"""Charts are valid PNGs, for any class names and any number of classes."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from trainer.metrics.roc_auc import RocCurve
from trainer.report import charts


def _open(png: bytes) -> Image.Image:
    assert png.startswith(b'\x89PNG')
    image = Image.open(io.BytesIO(png))
    image.load()
    return image.convert('RGB')


def test_a_loss_curve_may_have_no_points_one_or_thousands() -> None:
    _open(charts.loss_curve([], []))
    one = _open(charts.loss_curve([10], [2.5]))
    steps = list(range(0, 50_000, 10))
    many = _open(charts.loss_curve(steps, list(np.exp(-np.arange(5000) / 900))))
    assert one.size == many.size
    assert one.tobytes() != many.tobytes()
    evaluated = _open(charts.loss_curve([10], [2.5], validation=[(10, 2.75)]))
    assert one.tobytes() != evaluated.tobytes()


def test_a_roc_chart_may_have_no_curve_or_one_for_each_of_eight_levels() -> None:
    curve = RocCurve(np.array([0, 0.1, 1]), np.array([0, 0.9, 1]))
    none = _open(charts.roc([]))
    all_levels = _open(charts.roc([(f'level {number}', curve) for number in range(8)]))
    assert none.size == all_levels.size
    assert none.tobytes() != all_levels.tobytes()


def test_the_same_values_give_the_same_bytes() -> None:
    arguments = ([0.7, 0.3], [0.5, 0.5], ['SHOES', 'HATS'])
    assert charts.class_balance(*arguments) == charts.class_balance(*arguments)


def test_the_confusion_matrix_is_dark_where_the_share_of_the_row_is_high() -> None:
    names = [''] * 20  # too many for counts in the cells, no names: only shades
    right = _open(charts.confusion_matrix(np.eye(20, dtype=int) * 7, names))
    wrong = _open(charts.confusion_matrix(np.fliplr(np.eye(20, dtype=int)) * 7, names))
    mirrored = np.asarray(wrong.convert('L'))
    straight = np.asarray(right.convert('L'))
    dark = straight.min()
    rows, columns = np.nonzero(straight == dark)
    assert np.corrcoef(rows, columns)[0, 1] > 0.9  # from top left to bottom right
    rows, columns = np.nonzero(mirrored == dark)
    assert np.corrcoef(rows, columns)[0, 1] < -0.9


def test_a_class_without_examples_leaves_an_empty_row() -> None:
    matrix = np.array([[5, 1], [0, 0]])
    _open(charts.confusion_matrix(matrix, ['A', 'B']))  # no division by zero


@pytest.mark.parametrize('name', [r'PRICE $\frac{', 'A_B^C', '<b>&', 'ÉLECTROMÉNAGER  ', ''])
def test_a_class_name_is_never_parsed_as_math(name: str) -> None:
    _open(charts.confusion_matrix(np.eye(2, dtype=int), [name, 'B']))
    _open(charts.class_balance([0.5, 0.5], [0.5, 0.5], [name, 'B']))


def test_thousands_of_classes_do_not_enlarge_the_chart() -> None:
    shares = np.arange(5270, 0, -1.0)
    shares /= shares.sum()
    names = [f'CLASS {label}' for label in range(5270)]
    few = _open(charts.class_balance(shares[:100], shares[:100], names[:100]))
    many = _open(charts.class_balance(shares, shares, names))
    assert many.size == few.size


def test_a_long_name_is_cut_to_fit() -> None:
    assert charts.shorten('TELEVISEUR  LED') == 'TELEVISEUR LED'
    assert charts.shorten('x' * 100) == 'x' * 27 + '…'


def test_charts_do_not_import_pyplot() -> None:
    program = (
        'import sys\n'
        'from trainer.report import charts\n'
        'charts.loss_curve([1, 2], [3, 4])\n'
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    assert run.stdout == 'False\n'
