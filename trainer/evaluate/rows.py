"""The metrics of an evaluation as rows: of dictionaries for JSON, of text for tables."""

import dataclasses
from collections.abc import Callable
from typing import Any

from catalog.categories import Categories
from trainer.evaluate.result import EvaluationResult
from trainer.metrics import classification
from trainer.metrics.classification import Confusion
from trainer.metrics.subset_metrics import SubsetMetrics
from trainer.report import tables

METRIC_HEADER = ['', 'products', '95 % interval', 'without leaked', 'pictures', 'without leaked']
LEVEL_HEADER = ['', 'nodes', 'by leaf', 'by sum', 'top-5', 'macro F1', 'ROC AUC']
SHOT_HEADER = ['classes', 'measured', 'products', 'accuracy', 'recall']

# Metrics in percent: (name, title).
PERCENT_METRICS = [
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
_PLAIN_METRICS = [
    ('matthews', 'Matthews correlation'),
    ('kappa', "Cohen's kappa"),
    ('loss', 'log loss'),
]
_MAX_CONFUSED = 25

Value = Callable[[SubsetMetrics], float]
Format = Callable[[float], str]


def class_rows(evaluation: EvaluationResult, tree: Categories) -> list[dict[str, Any]]:
    """Returns the metrics of each class that occurs, by label."""
    confusion = evaluation.confusion
    classes = classification.compute_class_metrics(confusion)
    names = [field.name for field in dataclasses.fields(classes)]
    columns = [getattr(classes, name).tolist() for name in names]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    return [
        {
            **row,
            'roc_auc': evaluation.leaf_auc[row['label']],
            'category_id': tree.shown_id(row['label']),
            'path': list(tree.names[row['label']]),
        }
        for row in rows
    ]


def confused_rows(confusion: Confusion, tree: Categories) -> list[dict[str, Any]]:
    """Returns the most confused pairs, the most frequent first."""
    pairs = classification.most_confused(confusion, limit=_MAX_CONFUSED)
    columns = pairs.label.tolist(), pairs.predicted.tolist(), pairs.count.tolist()
    return [
        {
            'label': label,
            'predicted': predicted,
            'count': count,
            'label_path': list(tree.names[label]),
            'predicted_path': list(tree.names[predicted]),
        }
        for label, predicted, count in zip(*columns, strict=True)
    ]


def metric_rows(evaluation: EvaluationResult) -> list[list[str]]:
    """Returns the table of metrics, one row per metric; `-` for a subset without examples."""
    counts = [f'{subset.metrics.examples:,}' for subset in evaluation.subsets]
    return [
        ['examples', counts[0], '', *counts[1:]],
        *(
            _metric_row(evaluation, title, _metric(name), tables.percent, interval=name)
            for name, title in PERCENT_METRICS
        ),
        *(
            _metric_row(evaluation, title, _metric(name), '{:.4f}'.format, interval=name)
            for name, title in _PLAIN_METRICS
        ),
        *(
            _metric_row(
                evaluation, f'level {number + 1} accuracy', _level_accuracy(number), tables.percent
            )
            for number in range(len(evaluation.products.levels) - 1)
        ),
        _metric_row(evaluation, 'ECE, uncalibrated', lambda s: s.reliability.ece, tables.percent),
        _metric_row(evaluation, 'ECE, calibrated', lambda s: s.calibrated.ece, tables.percent),
        *_auc_rows(evaluation),
    ]


def _metric_row(
    evaluation: EvaluationResult, title: str, value: Value, form: Format, *, interval: str = ''
) -> list[str]:
    cells = [
        form(value(subset)) if subset.metrics.examples else '-' for subset in evaluation.subsets
    ]
    between = ''
    if interval in evaluation.intervals:
        low, high = (form(end) for end in evaluation.intervals[interval])
        between = f'{low.removesuffix(" %")} to {high}'
    return [title, cells[0], between, *cells[1:]]


def _metric(name: str) -> Value:
    return lambda subset: getattr(subset.metrics, name)


def _level_accuracy(number: int) -> Value:
    return lambda subset: subset.levels[number].accuracy_by_leaf


def _auc_rows(evaluation: EvaluationResult) -> list[list[str]]:
    auc = evaluation.roc_auc
    if not auc.classes:
        return []
    return [
        [f'ROC AUC, {name}', f'{value:.4f}', f'± {auc.error:.4f}', '', '', '']
        for name, value in [('macro', auc.macro), ('weighted', auc.weighted)]
    ]


def level_rows(evaluation: EvaluationResult) -> list[list[str]]:
    """Returns the table of levels: products, by the likeliest leaf and by the likeliest node."""
    if not evaluation.products.metrics.examples:
        return []
    return [
        [
            f'level {level.level}',
            f'{level.nodes:,}',
            tables.percent(level.accuracy_by_leaf),
            tables.percent(level.by_sum.accuracy),
            tables.percent(level.by_sum.top5_accuracy),
            tables.percent(level.by_sum.macro_f1),
            f'{roc.auc.macro:.4f}' if roc.auc.classes else '-',
        ]
        for level, roc in zip(evaluation.products.levels, evaluation.roc, strict=True)
    ]


def shot_rows(evaluation: EvaluationResult) -> list[list[str]]:
    """Returns the table of many-, medium- and few-shot classes."""
    return [
        [
            f'{shot.name}-shot',
            f'{shot.measured:,} of {shot.classes:,}',
            f'{shot.examples:,}',
            tables.percent(shot.accuracy) if shot.examples else '-',
            tables.percent(shot.macro_recall) if shot.examples else '-',
        ]
        for shot in evaluation.shots
    ]
