"""What an evaluation found, and its figures as rows of text for a terminal and for a page.

Knows no model and no data set. JSON and CSV: `document`; HTML: `page`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from catalog.categories import Categories
from trainer.evaluate.result import Evaluation
from trainer.metrics import classification as metrics
from trainer.metrics.classification import Confusion
from trainer.metrics.subset_metrics import SubsetMetrics
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
        title: str,
        value: Callable[[SubsetMetrics], float],
        form: Callable[[float], str],
        name: str = '',
    ) -> list[str]:
        cells = [form(value(c)) if c.metrics.examples else '-' for c in evaluation.columns]
        low, high = (form(v) for v in evaluation.intervals.get(name, (0.0, 0.0)))
        between = f'{low.removesuffix(" %")} to {high}' if name in evaluation.intervals else ''
        return [title, cells[0], between, *cells[1:]]

    def of_figures(name: str) -> Callable[[SubsetMetrics], float]:
        return lambda column: getattr(column.metrics, name)

    counts = [f'{column.metrics.examples:,}' for column in evaluation.columns]
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
    if not evaluation.products.metrics.examples:
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
    count, total = len(evaluation.suspects), max(evaluation.products.metrics.examples, 1)
    learned = ' The model learned from these labels, so it hardly doubts them.'
    return (
        f'{count:,} labels ({tables.percent(count / total)}) are suspected to be wrong; '
        f'{SUSPECTS} lists them.{learned if evaluation.split == "train" else ""}'
    )


def text(evaluation: Evaluation) -> str:
    """The evaluation for the terminal."""
    parts = [
        f"{evaluation.split}: a product's probabilities are {evaluation.product_rule}",
        tables.format_table(figure_rows(evaluation), header=COLUMNS),
        tables.format_table(level_rows(evaluation), header=LEVEL_COLUMNS),
        tables.format_table(third_rows(evaluation), header=THIRD_COLUMNS),
        '\n'.join(
            [
                coverage_words(evaluation),
                temperature_words(evaluation),
                suspect_words(evaluation),
            ]
        ),
    ]
    return '\n\n'.join(parts)
