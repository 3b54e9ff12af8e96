"""An evaluation as files for programs: `evaluation.json` and `suspects.csv`.

Their form: docs/evaluation.md. Writes nothing itself.
"""

import csv
import dataclasses
import io
from typing import Any

import numpy as np

from catalog.categories import Categories
from trainer.evaluate import text as evaluation_report
from trainer.evaluate.result import Evaluation
from trainer.metrics.calibration import BINS, Reliability
from trainer.metrics.subset_metrics import SubsetMetrics

SUSPECTS_HEADER = [
    'product_id',
    'category_id',
    'suggested_category_id',
    'probability',
    'suggested_probability',
]

DEFINITIONS = {
    'accuracy': 'The share whose likeliest class is the label (categorisation accuracy).',
    'top5_accuracy': 'The share that has the label among the five likeliest classes.',
    'loss': 'Log loss: the mean of -log(probability of the label), in nats.',
    'precision, recall, f1': 'As scikit-learn has them; 0 where the denominator is 0.',
    'macro': 'The plain mean over the classes that occur in the labels or the predictions.',
    'weighted': "The mean over classes, weighted by the label's count.",
    'micro': 'Over all together; with one label each, all three are the accuracy.',
    'matthews': 'Correlation of labels and predictions, -1 to 1 (Gorodkin, 2004).',
    'kappa': "Cohen's: agreement beyond that of chance, at most 1.",
    'levels': "accuracy_by_leaf: the likeliest leaf lies under the label's node. by_sum: figures "
    "of the node with the largest sum of its leaves' probabilities.",
    'roc_auc': 'One class against the rest, the mean over the classes that occur; error bounds how '
    'far it may be off, 0 where it is exact.',
    'thirds': 'The classes in three parts by their size in what the model learned from.',
    'calibration': 'ece: the mean of |accuracy - confidence| over 15 bins of confidence (Guo et '
    'al., 2017). With the temperature T confidence is p ** (1 / T), normalised.',
    'coverage': 'The largest share that can be filed, the surest first, with the accuracy that is '
    'asked for.',
    'intervals': '95 %, percentile bootstrap over products, 1,000 draws.',
    'suspects': 'Labels suspected to be wrong by confident learning (Northcutt et al., 2021).',
    'without_leaked': 'Without the products, or pictures, whose bytes occur in train too.',
}


def definitions(evaluation: Evaluation) -> dict[str, str]:
    """What the words in a report mean."""
    product = f"A product's probabilities are {evaluation.product_rule}."
    if evaluation.tta == 'flip':
        product += " A picture's are the mean of its own and of its mirror image's."
    return {'product': product, **DEFINITIONS}


def of(evaluation: Evaluation, tree: Categories) -> dict[str, Any]:
    """`evaluation.json`: the figures per product at the top."""
    return {
        **_measured(evaluation.products),
        'unit': 'product',
        'split': evaluation.split,
        'step': evaluation.step,
        'tta': evaluation.tta,
        'data_manifest_sha256': evaluation.data_digest,
        'intervals': {name: list(ends) for name, ends in evaluation.intervals.items()},
        'roc_auc': dataclasses.asdict(evaluation.auc),
        'thirds': [dataclasses.asdict(third) for third in evaluation.thirds],
        'coverage': [dataclasses.asdict(found) for found in evaluation.coverage],
        'temperature': {
            **dataclasses.asdict(evaluation.calibrated.temperatures),
            'fitted_on': evaluation.calibrated.split,
            'fitted_products': evaluation.calibrated.products,
        },
        'suspects': {'count': len(evaluation.suspects), 'file': evaluation_report.SUSPECTS},
        'without_leaked': _measured(evaluation.products_without_leaked),
        'pictures': {
            **_measured(evaluation.pictures),
            'without_leaked': _measured(evaluation.pictures_without_leaked),
        },
        'coverage_curve': {
            field.name: getattr(evaluation.curve, field.name).tolist()
            for field in dataclasses.fields(evaluation.curve)
        },
        'classes': evaluation_report.class_rows(evaluation.confusion, tree),
        'most_confused': evaluation_report.confused_rows(evaluation.confusion, tree),
        'definitions': definitions(evaluation),
    }


def _measured(found: SubsetMetrics) -> dict[str, Any]:
    return {
        **dataclasses.asdict(found.metrics),
        'levels': [dataclasses.asdict(level) for level in found.levels],
        'calibration': {
            'bin_edges': np.linspace(0, 1, BINS + 1).tolist(),
            'before': _reliability(found.reliability),
            'after': _reliability(found.calibrated),
        },
    }


def _reliability(found: Reliability) -> dict[str, Any]:
    return {
        'ece': found.ece,
        'mce': found.mce,
        'count': found.count.tolist(),
        'accuracy': found.accuracy.tolist(),
        'confidence': found.confidence.tolist(),
    }


def suspects_csv(evaluation: Evaluation, tree: Categories) -> str:
    """`suspects.csv`: a row a product, the most suspicious first."""
    rows, found = evaluation.rows, evaluation.suspects
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(SUSPECTS_HEADER)
    for row, suggested in zip(found.row.tolist(), found.suggested.tolist(), strict=True):
        writer.writerow(
            [
                int(rows.product_id[row]),
                int(tree.ids[rows.label[row]]),
                int(tree.ids[suggested]),
                f'{np.exp(rows.label_log_probability[row]):.6f}',
                f'{rows.probability[row, 0]:.6f}',
            ]
        )
    return text.getvalue()
