"""What an evaluation found, and its figures as rows of text for a terminal and for a page.

Knows no model and no data set. JSON and CSV: `document`; HTML: `page`.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from catalog.categories import Categories
from trainer.evaluate.showcase import Photos, Showcase
from trainer.metrics import classification as metrics
from trainer.metrics.breakdowns import Third
from trainer.metrics.calibration import Calibrated
from trainer.metrics.classification import Confusion
from trainer.metrics.coverage import Coverage, Curve
from trainer.metrics.label_errors import Suspects
from trainer.metrics.prediction_table import Predictions
from trainer.metrics.roc_auc import RocAuc
from trainer.metrics.tallies import Measured
from trainer.report import charts, tables

SUSPECTS = 'suspects.csv'

_MAX_CLASSES_IN_MATRIX = 60
_MAX_CONFUSED = 25

SHOWN = [
    ('accuracy', 'accuracy'),
    ('top5_accuracy', 'top-5 accuracy'),
    ('macro_precision', 'macro precision'),
    ('macro_recall', 'macro recall'),
    ('macro_f1', 'macro F1'),
    ('weighted_precision', 'weighted precision'),
    ('weighted_recall', 'weighted recall'),
    ('weighted_f1', 'weighted F1'),
    ('micro_f1', 'micro F1'),
]
_PLAIN = [
    ('matthews', 'Matthews correlation'),
    ('kappa', "Cohen's kappa"),
    ('loss', 'log loss'),
]
COLUMNS = ['', 'products', '95 % interval', '… not leaked', 'pictures', '… not leaked']


@dataclass(frozen=True)
class Evaluation:
    """What was found of a model on a split.

    Attributes:
      split: what was measured on.
      step: of the checkpoint that was measured.
      product_rule: what a product's probabilities are, in words.
      tta: see `test_time`.
      data_digest: SHA-256 of the data set's manifest, in hex.
      products: per product.
      products_without_leaked: without the products that have a picture which occurs in train too.
      pictures: per picture.
      pictures_without_leaked: without the pictures that occur in train too.
      confusion: per product, as all that follows.
      auc: one-vs-rest.
      thirds: of the classes, by size.
      calibrated: the temperatures.
      curve: coverage against accuracy.
      coverage: at some accuracies, ascending.
      target: the accuracy that matters most of these.
      intervals: 95 %, of the headline figures, by name.
      rows: what is said of each product.
      suspects: among the rows.
      showcase: rows to show.
      photos: of these.
    """

    split: str
    step: int
    product_rule: str
    tta: str
    data_digest: str
    products: Measured
    products_without_leaked: Measured
    pictures: Measured
    pictures_without_leaked: Measured
    confusion: Confusion
    auc: RocAuc
    thirds: tuple[Third, ...]
    calibrated: Calibrated
    curve: Curve
    coverage: tuple[Coverage, ...]
    target: float
    intervals: dict[str, tuple[float, float]]
    rows: Predictions
    suspects: Suspects
    showcase: Showcase
    photos: Photos

    @property
    def columns(self) -> tuple[Measured, Measured, Measured, Measured]:
        """The four sets of figures, in the order in which they are shown."""
        return (
            self.products,
            self.products_without_leaked,
            self.pictures,
            self.pictures_without_leaked,
        )

    @property
    def at_target(self) -> Coverage:
        """What can be filed at the target's accuracy."""
        return next(found for found in self.coverage if found.target == self.target)


def class_rows(confusion: Confusion, tree: Categories) -> list[dict[str, Any]]:
    """The figures of each class that occurs, by label."""
    classes = metrics.per_class(confusion)
    names = [field.name for field in dataclasses.fields(classes)]
    columns = [getattr(classes, name).tolist() for name in names]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    return [{**row, **_node(row['label'], tree)} for row in rows]


def _node(label: int, tree: Categories) -> dict[str, Any]:
    return {'category_id': int(tree.ids[label]), 'path': list(tree.names[label])}


def confused_rows(confusion: Confusion, tree: Categories) -> list[dict[str, Any]]:
    """The wrong pairs that occur most."""
    worst = metrics.most_confused(confusion, limit=_MAX_CONFUSED)
    pairs = zip(worst.label.tolist(), worst.predicted.tolist(), worst.count.tolist(), strict=True)
    return [
        {
            'label': label,
            'predicted': predicted,
            'count': count,
            'label_path': list(tree.names[label]),
            'predicted_path': list(tree.names[predicted]),
        }
        for label, predicted, count in pairs
    ]


def matrix_picture(confusion: Confusion, tree: Categories) -> bytes | None:
    """The confusion matrix as a PNG; None where there are too many classes to see anything."""
    if len(tree) > _MAX_CLASSES_IN_MATRIX:
        return None
    names = [names[-1] for names in tree.names]
    return charts.confusion_matrix(confusion.dense(len(tree)), names)


def figure_rows(evaluation: Evaluation) -> list[list[str]]:
    """The table of figures, a row a figure; `-` where nothing was counted."""

    def row(
        title: str, value: Callable[[Measured], float], form: Callable[[float], str], name: str = ''
    ) -> list[str]:
        cells = [form(value(c)) if c.figures.examples else '-' for c in evaluation.columns]
        low, high = (form(v) for v in evaluation.intervals.get(name, (0.0, 0.0)))
        between = f'{low.removesuffix(" %")} to {high}' if name in evaluation.intervals else ''
        return [title, cells[0], between, *cells[1:]]

    def of_figures(name: str) -> Callable[[Measured], float]:
        return lambda column: getattr(column.figures, name)

    counts = [f'{column.figures.examples:,}' for column in evaluation.columns]
    return [
        ['examples', counts[0], '', *counts[1:]],
        *(row(title, of_figures(name), tables.percent, name) for name, title in SHOWN),
        *(row(title, of_figures(name), _plain, name) for name, title in _PLAIN),
        *(_level_row(row, level) for level in range(2)),
        row('calibration error', lambda c: c.reliability.ece, tables.percent),
        row('… calibrated', lambda c: c.calibrated.ece, tables.percent),
        *_auc_rows(evaluation),
    ]


def _level_row(row: Callable[..., list[str]], level: int) -> list[str]:
    return row(
        f'level {level + 1} accuracy', lambda c: c.levels[level].accuracy_by_leaf, tables.percent
    )


def _auc_rows(evaluation: Evaluation) -> list[list[str]]:
    auc = evaluation.auc
    if not auc.classes:
        return []
    spread = f'± {auc.error:.1e}' if auc.error else ''
    return [
        [f'ROC AUC, {name}', f'{value:.4f}', spread, '', '', '']
        for name, value in [('macro', auc.macro), ('weighted', auc.weighted)]
    ]


def _plain(value: float) -> str:
    return f'{value:.4f}'


def level_rows(evaluation: Evaluation) -> list[list[str]]:
    """The table of levels: products, by the likeliest leaf and by the likeliest node."""
    if not evaluation.products.figures.examples:
        return []
    return [
        [
            f'level {found.level}',
            f'{found.nodes:,}',
            tables.percent(found.accuracy_by_leaf),
            tables.percent(found.by_sum.accuracy),
            tables.percent(found.by_sum.top5_accuracy),
            tables.percent(found.by_sum.macro_f1),
        ]
        for found in evaluation.products.levels
    ]


def third_rows(evaluation: Evaluation) -> list[list[str]]:
    """The table of thirds."""
    return [
        [
            third.name,
            f'{third.measured:,} of {third.classes:,}',
            f'{third.examples:,}',
            tables.percent(third.accuracy) if third.examples else '-',
            tables.percent(third.macro_recall) if third.examples else '-',
        ]
        for third in evaluation.thirds
    ]


LEVEL_COLUMNS = ['', 'nodes', 'by leaf', 'by sum', 'top-5', 'macro F1']
THIRD_COLUMNS = ['classes', 'measured', 'products', 'accuracy', 'macro recall']


def coverage_words(evaluation: Evaluation) -> str:
    """How much can be filed at the target's accuracy, as a sentence."""
    found, wanted = evaluation.at_target, f'{100 * evaluation.target:g} %'
    if not found.share:
        return f'At {wanted} accuracy nothing can be filed without a person looking.'
    low, high = evaluation.intervals['coverage']
    return (
        f'At {wanted} accuracy {tables.percent(found.share)} of the products can be filed without '
        f'a person looking ({100 * low:.1f} to {tables.percent(high)}): those of a confidence of '
        f'at least {found.threshold:.3f}.'
    )


def temperature_words(evaluation: Evaluation) -> str:
    """The temperatures, as a sentence."""
    found = evaluation.calibrated
    return (
        f'Temperature {found.temperatures.product:.3f} for products, '
        f'{found.temperatures.picture:.3f} for pictures, fitted on {found.products:,} products '
        f'of {found.split}.'
    )


def suspect_words(evaluation: Evaluation) -> str:
    """How many labels are suspected, as a sentence."""
    count, total = len(evaluation.suspects), max(evaluation.products.figures.examples, 1)
    learned = ' The model learned from these labels, so it hardly doubts them.'
    return (
        f'{count:,} labels ({tables.percent(count / total)}) are suspected to be wrong; '
        f'{SUSPECTS} lists them.{learned if evaluation.split == "train" else ""}'
    )


def text(evaluation: Evaluation) -> str:
    """The evaluation for the terminal."""
    parts = [
        f"{evaluation.split}: a product's probabilities are {evaluation.product_rule}",
        tables.aligned(figure_rows(evaluation), header=COLUMNS),
        tables.aligned(level_rows(evaluation), header=LEVEL_COLUMNS),
        tables.aligned(third_rows(evaluation), header=THIRD_COLUMNS),
        '\n'.join(
            [
                coverage_words(evaluation),
                temperature_words(evaluation),
                suspect_words(evaluation),
            ]
        ),
    ]
    return '\n\n'.join(parts)
