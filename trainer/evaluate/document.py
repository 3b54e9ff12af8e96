"""An evaluation for programs: `evaluation.json` and `suspects.csv` (docs/evaluation.md)."""

import csv
import dataclasses
import io
from typing import Any

import numpy as np

from catalog.categories import Categories
from trainer import naming
from trainer.evaluate import rows
from trainer.evaluate.result import EvaluationResult
from trainer.metrics.calibration import BINS, Reliability
from trainer.metrics.label_errors import LEAST_KAPPA
from trainer.metrics.subset_metrics import SubsetMetrics

LABEL_ERRORS_HEADER = [
    'product_id',
    'category_id',
    'suggested_category_id',
    'probability',
    'suggested_probability',
]

DEFINITIONS = {
    'accuracy': 'Share whose likeliest class is the label (categorisation accuracy).',
    'top5_accuracy': 'Share that has the label among the five likeliest classes.',
    'loss': 'Log loss: the mean of -log(probability of the label), in nats.',
    'precision, recall, f1': 'As in scikit-learn; 0 where the denominator is 0.',
    'macro': 'Unweighted mean over the classes that occur in the labels or the predictions.',
    'weighted': "Mean over classes, weighted by the label's count.",
    'micro': 'Over all examples together; with one label each, all three are the accuracy.',
    'matthews': 'Correlation of labels and predictions, -1 to 1 (Gorodkin, 2004).',
    'kappa': "Cohen's kappa: agreement beyond chance, at most 1.",
    'levels': "accuracy_by_leaf: the likeliest leaf is under the label's node. by_sum: metrics of "
    "the node with the largest sum of its leaves' probabilities.",
    'roc_auc': 'One class against the rest, mean over the classes that occur, from binned '
    'probabilities; error bounds the difference from the unbinned value.',
    'thirds': 'Many-, medium- and few-shot classes: thirds of the classes by their number of '
    'products in the training data.',
    'calibration': 'ece, the expected calibration error: the mean of |accuracy - confidence| over '
    '15 bins of confidence (Guo et al., 2017). With the temperature T, confidence is '
    'p ** (1 / T), normalised.',
    'coverage': 'The largest share of the products that can be auto-classified, the most confident '
    'first, with the target accuracy.',
    'intervals': '95 %, percentile bootstrap over products, 1,000 samples.',
    'roc_curves': 'The mean true positive rate of the classes, or of the nodes of a level, at each '
    'false positive rate.',
    'suspects': 'Suspected label errors, by confident learning (Northcutt et al., 2021). None '
    "if the 95 % interval of Cohen's kappa is not above least_kappa.",
    'undecodable': 'Pictures that no decoder reads are left out. A product is evaluated on its '
    'other pictures, or not at all if it has none.',
    'without_leaked': 'Without the products, or pictures, whose bytes are also in train.',
}


def definitions(evaluation: EvaluationResult) -> dict[str, str]:
    """Returns the definitions of the terms in a report."""
    product = f"A product's probabilities are {evaluation.product_rule}."
    if evaluation.tta == 'flip':
        product += " A picture's are the mean of its own and its mirror image's."
    return {'product': product, **DEFINITIONS}


def build_document(evaluation: EvaluationResult, tree: Categories) -> dict[str, Any]:
    """Returns `evaluation.json`: the metrics per product are at the top level."""
    fitted = evaluation.temperatures
    return {
        **_subset(evaluation.products),
        'levels': [
            {**dataclasses.asdict(level), 'roc_auc': dataclasses.asdict(roc.auc)}
            for level, roc in zip(evaluation.products.levels, evaluation.roc, strict=True)
        ],
        'unit': 'product',
        'split': evaluation.split,
        'step': evaluation.step,
        'tta': evaluation.tta,
        'data_manifest_sha256': evaluation.data_digest,
        'intervals': {name: list(ends) for name, ends in evaluation.intervals.items()},
        'roc_auc': dataclasses.asdict(evaluation.roc_auc),
        'roc_curves': [
            {
                'level': roc.level,
                'false_positive_rate': roc.curve.false_positive_rate.tolist(),
                'true_positive_rate': roc.curve.true_positive_rate.tolist(),
            }
            for roc in evaluation.roc
        ],
        'thirds': [dataclasses.asdict(shot) for shot in evaluation.shots],
        'coverage': [dataclasses.asdict(found) for found in evaluation.coverage],
        'temperature': {
            **dataclasses.asdict(fitted.temperatures),
            'fitted_on': fitted.split,
            'fitted_products': fitted.products,
        },
        'undecodable': {
            'pictures': len(evaluation.undecodable),
            'products_not_evaluated': [
                evaluation.shown_id(id_) for id_ in evaluation.not_evaluated
            ],
        },
        'train': {
            'products': evaluation.train_products,
            'pseudo_labelled': evaluation.pseudo_labelled,
        },
        'suspects': {
            'count': len(evaluation.label_errors),
            'file': naming.LABEL_ERRORS,
            'has_learned': evaluation.label_errors.has_learned,
            'least_kappa': LEAST_KAPPA,
        },
        'without_leaked': _subset(evaluation.products_without_leaked),
        'pictures': {
            **_subset(evaluation.pictures),
            'without_leaked': _subset(evaluation.pictures_without_leaked),
        },
        'coverage_curve': {
            field.name: getattr(evaluation.coverage_curve, field.name).tolist()
            for field in dataclasses.fields(evaluation.coverage_curve)
        },
        'classes': rows.class_rows(evaluation, tree),
        'most_confused': rows.confused_rows(evaluation.confusion, tree),
        'definitions': definitions(evaluation),
    }


def _subset(subset: SubsetMetrics) -> dict[str, Any]:
    return {
        **dataclasses.asdict(subset.metrics),
        'levels': [dataclasses.asdict(level) for level in subset.levels],
        'calibration': {
            'bin_edges': np.linspace(0, 1, BINS + 1).tolist(),
            'before': _reliability(subset.reliability),
            'after': _reliability(subset.calibrated),
        },
    }


def _reliability(reliability: Reliability) -> dict[str, Any]:
    return {
        'ece': reliability.ece,
        'mce': reliability.mce,
        'count': reliability.count.tolist(),
        'accuracy': reliability.accuracy.tolist(),
        'confidence': reliability.confidence.tolist(),
    }


def label_errors_csv(evaluation: EvaluationResult, tree: Categories) -> str:
    """Returns `suspects.csv`: one row per product, the most suspicious first."""
    products, found = evaluation.predictions, evaluation.label_errors
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(LABEL_ERRORS_HEADER)
    for row, suggested in zip(found.row.tolist(), found.suggested.tolist(), strict=True):
        writer.writerow(
            [
                evaluation.shown_id(products.product_id[row]),
                tree.shown_id(products.label[row]),
                tree.shown_id(suggested),
                f'{np.exp(products.label_log_probability[row]):.6f}',
                f'{products.probability[row, 0]:.6f}',
            ]
        )
    return text.getvalue()
