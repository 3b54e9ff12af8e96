"""An evaluation as a page for people: charts, photos and tables in one file that needs no other."""

from typing import Any

from catalog.categories import Categories
from catalog.formats import image_header
from trainer.evaluate import document as evaluation_document
from trainer.evaluate import text as report
from trainer.evaluate.result import Evaluation
from trainer.metrics.classification import Ints
from trainer.report import charts, pages

_MAX_WORST = 10
_FIRST_SUSPECTS = 12  # the others are shown if asked for
_SMALL_PHOTO = 64  # pixels; smaller ones are shown with their pixels sharp


def page(evaluation: Evaluation, tree: Categories) -> bytes:
    """The page; names and numbers are escaped, photos are inside."""
    products = evaluation.products
    classes = report.class_rows(evaluation.confusion, tree)
    supported = [row for row in classes if row['support']]
    matrix = report.matrix_picture(evaluation.confusion, tree)
    return pages.render(
        'evaluation.html',
        split=evaluation.split,
        step=evaluation.step,
        digest=evaluation.data_digest,
        products=products.metrics,
        intervals=evaluation.intervals,
        target=evaluation.at_target,
        num_classes=len(tree),
        product_rule=evaluation.product_rule,
        coverage_words=report.coverage_words(evaluation),
        coverage_picture=pages.data_uri(charts.coverage(evaluation.curve, evaluation.at_target)),
        coverage=evaluation.coverage,
        temperature_words=report.temperature_words(evaluation),
        reliability_picture=pages.data_uri(
            charts.reliability(products.reliability, products.calibrated)
        ),
        columns=report.COLUMNS,
        figures=report.figure_rows(evaluation),
        level_columns=report.LEVEL_COLUMNS,
        levels=report.level_rows(evaluation),
        third_columns=report.THIRD_COLUMNS,
        thirds=report.third_rows(evaluation),
        suspect_words=report.suspect_words(evaluation),
        suspects=_suspects(evaluation, tree),
        first_suspects=_FIRST_SUSPECTS,
        suspect_count=len(evaluation.suspects),
        pairs=_pairs(evaluation, tree),
        confused=report.confused_rows(evaluation.confusion, tree),
        matrix=pages.data_uri(matrix) if matrix else None,
        classes=classes,
        worst=sorted(supported, key=lambda row: (row['f1'], -row['support']))[:_MAX_WORST],
        definitions=evaluation_document.definitions(evaluation),
    )


def _suspects(evaluation: Evaluation, tree: Categories) -> list[dict[str, Any]]:
    """A card a suspected product: its photos, its label, what it looks like."""
    rows = evaluation.rows
    return [
        {
            'product_id': int(rows.product_id[row]),
            'photos': _photos(evaluation, int(rows.product_id[row])),
            'label': tree.names[rows.label[row]],
            'suggested': tree.names[rows.predicted[row, 0]],
            'confidence': float(rows.confidence[row, 0]),
        }
        for row in evaluation.showcase.suspects.tolist()
    ]


def _pairs(evaluation: Evaluation, tree: Categories) -> list[dict[str, Any]]:
    """A card a confused pair: photos of products that were taken for the other, and of that."""

    def first_photos(chosen: Ints) -> list[dict[str, Any]]:
        products = evaluation.rows.product_id[chosen].tolist()
        return [photo for product in products for photo in _photos(evaluation, product)[:1]]

    return [
        {
            'label': tree.names[pair.label],
            'predicted': tree.names[pair.predicted],
            'count': pair.count,
            'wrong': first_photos(pair.wrong),
            'typical': first_photos(pair.typical),
        }
        for pair in evaluation.showcase.pairs
    ]


def _photos(evaluation: Evaluation, product_id: int) -> list[dict[str, Any]]:
    return [
        {
            'product_id': product_id,
            'uri': pages.data_uri(photo),
            'small': image_header.read_header(photo).width < _SMALL_PHOTO,
        }
        for photo in evaluation.sample_images.get(product_id, ())
    ]
