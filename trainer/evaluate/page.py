"""An evaluation as an HTML page: charts, sample images and tables in one file."""

from typing import Any

from catalog.categories import Categories
from catalog.formats import image_header
from trainer.evaluate import document, rows, text
from trainer.evaluate.result import EvaluationResult
from trainer.metrics.classification import Confusion, Ints
from trainer.metrics.roc_auc import RocCurve
from trainer.report import charts, pages

_MAX_WEAKEST = 10
_FIRST_LABEL_ERRORS = 12  # the others are folded
_MAX_CLASSES_IN_MATRIX = 60  # with more, cells are too small to see


def render_page(evaluation: EvaluationResult, tree: Categories) -> bytes:
    """Returns the page; names are escaped, images are embedded."""
    products = evaluation.products
    classes = rows.class_rows(evaluation, tree)
    supported = [row for row in classes if row['support']]
    matrix = confusion_chart(evaluation.confusion, tree)
    at_target = evaluation.coverage_at_target
    return pages.render(
        'evaluation.html',
        split=evaluation.split,
        step=evaluation.step,
        digest=evaluation.data_digest,
        products=products.metrics,
        intervals=evaluation.intervals,
        target=at_target,
        num_classes=len(tree),
        product_rule=evaluation.product_rule,
        coverage_sentence=text.coverage_sentence(evaluation),
        undecodable_sentence=text.undecodable_sentence(evaluation),
        pseudo_label_sentence=text.pseudo_label_sentence(
            evaluation.pseudo_labelled, evaluation.train_products
        ),
        coverage_chart=pages.data_uri(charts.coverage(evaluation.coverage_curve, at_target)),
        coverage=evaluation.coverage,
        temperature_sentence=text.temperature_sentence(evaluation),
        reliability_chart=pages.data_uri(
            charts.reliability(products.reliability, products.calibrated)
        ),
        metric_header=rows.METRIC_HEADER,
        metrics=rows.metric_rows(evaluation),
        level_header=rows.LEVEL_HEADER,
        levels=rows.level_rows(evaluation),
        roc_chart=pages.data_uri(charts.roc(_named_curves(evaluation))),
        shot_header=rows.SHOT_HEADER,
        shots=rows.shot_rows(evaluation),
        label_error_sentence=text.label_error_sentence(evaluation),
        label_errors=_label_error_cards(evaluation, tree),
        first_label_errors=_FIRST_LABEL_ERRORS,
        label_error_count=len(evaluation.label_errors),
        pairs=_pair_cards(evaluation, tree),
        confused=rows.confused_rows(evaluation.confusion, tree),
        matrix=pages.data_uri(matrix) if matrix else None,
        classes=classes,
        weakest=sorted(supported, key=lambda row: (row['f1'], -row['support']))[:_MAX_WEAKEST],
        definitions=document.definitions(evaluation),
    )


def _named_curves(evaluation: EvaluationResult) -> list[tuple[str, RocCurve]]:
    """The curves of the levels, that of the classes last; none for a level with a single node."""
    names = [f'level {roc.level}' for roc in evaluation.roc[:-1]] + ['classes']
    return [
        (f'{name}, AUC {roc.auc.macro:.4f}', roc.curve)
        for name, roc in zip(names, evaluation.roc, strict=True)
        if roc.auc.classes
    ]


def confusion_chart(confusion: Confusion, tree: Categories) -> bytes | None:
    """Returns the confusion matrix as a PNG; None if there are too many classes."""
    if len(tree) > _MAX_CLASSES_IN_MATRIX:
        return None
    names = [names[-1] for names in tree.names]
    return charts.confusion_matrix(confusion.dense(len(tree)), names)


def _label_error_cards(evaluation: EvaluationResult, tree: Categories) -> list[dict[str, Any]]:
    """A card a product: its images, its label, its likeliest class."""
    products = evaluation.predictions
    return [
        {
            'product_id': evaluation.shown_id(products.product_id[row]),
            'images': _images(evaluation, int(products.product_id[row])),
            'label': tree.names[products.label[row]],
            'suggested': tree.names[products.predicted[row, 0]],
            'confidence': float(products.confidence[row, 0]),
        }
        for row in evaluation.showcase.label_errors.tolist()
    ]


def _pair_cards(evaluation: EvaluationResult, tree: Categories) -> list[dict[str, Any]]:
    """A card a confused pair: first images of its products, and of products of the other class."""

    def first_images(chosen: Ints) -> list[dict[str, Any]]:
        product_ids = evaluation.predictions.product_id[chosen].tolist()
        return [image for id_ in product_ids for image in _images(evaluation, id_)[:1]]

    return [
        {
            'label': tree.names[pair.label],
            'predicted': tree.names[pair.predicted],
            'count': pair.count,
            'confused': first_images(pair.confused),
            'typical': first_images(pair.typical),
        }
        for pair in evaluation.showcase.pairs
    ]


def _images(evaluation: EvaluationResult, product_id: int) -> list[dict[str, Any]]:
    return [
        {
            'product_id': evaluation.shown_id(product_id),
            'uri': pages.data_uri(image),
            'small': image_header.read_header(image).width < pages.SMALL_IMAGE,
        }
        for image in evaluation.sample_images.get(product_id, ())
    ]
