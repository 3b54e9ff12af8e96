"""Measures a trained model on a split: one pass over the pictures, everything counted as it comes.

Writes the table of predictions on the way; the report (JSON, HTML, text) is `evaluation_report`'s.
"""

from dataclasses import dataclass

import numpy as np

from catalog.errors import UserError
from catalog.progress import Progress
from trainer import (
    checkpoint,
    data_set,
    evaluation_report,
    input_pipeline,
    metrics,
    prediction_table,
    predictions,
    publish,
)
from trainer.data_set import DataSet
from trainer.evaluation_report import Evaluation
from trainer.prediction_table import Predictions
from trainer.predictions import Scored

FILES = frozenset({evaluation_report.JSON, evaluation_report.HTML, prediction_table.FILE_NAME})

DEFAULT_TOP_K = 5


@dataclass(frozen=True)
class _Tallies:
    products: metrics.Tally
    products_without_leaked: metrics.Tally
    pictures: metrics.Tally
    pictures_without_leaked: metrics.Tally


def evaluate(
    *, workdir: str, data_folder: str, split: str, output: str, top_k: int = DEFAULT_TOP_K
) -> Evaluation:
    """Measures the newest checkpoint of a workdir and writes `output`, whole or not at all.

    Args:
      workdir: of the run.
      data_folder: a data set with the category tree that the run learned.
      split: a labelled split of it.
      output: a new folder, or one of an earlier evaluation, which is replaced.
      top_k: predictions kept a product, at least 5.

    Raises:
      UserError: if the workdir has no checkpoint, or the data do not fit it or the split.
    """
    model, config, _ = checkpoint.restore_model(workdir)
    data = data_set.open_data_set(data_folder)
    _check(data, workdir=workdir, split=split, top_k=top_k)
    batches = input_pipeline.evaluation_batches(data, split, config)
    scored = predictions.score(model, batches, model_config=config.model)
    fuse = predictions.fuser(model, config.model.fusion)
    tallies = _Tallies(*(metrics.Tally(data.num_classes) for _ in range(4)))
    with publish.replaced_folder(output, files=FILES) as partial:
        with prediction_table.writer(str(partial / prediction_table.FILE_NAME)) as table:
            progress = Progress('evaluate', total=data.split(split).pictures, unit='picture')
            for pictures in predictions.whole_products(scored):
                table.write(_count(pictures, fuse(pictures), tallies, top_k=top_k))
                progress.update(tallies.pictures.examples)
            progress.close()
        _check_whole(data, tallies, split=split)
        evaluation = _evaluation(
            tallies, split=split, digest=data.digest, rule=predictions.rule(config.model.fusion)
        )
        evaluation_report.write(evaluation, data.categories, folder=partial)
    return evaluation


def _check(data: DataSet, *, workdir: str, split: str, top_k: int) -> None:
    if top_k < metrics.TOP:
        raise UserError(f'--top_k must be at least {metrics.TOP}, got {top_k}')
    if not any(data.split(split).products_per_class):
        raise UserError(f'{data.folder}: evaluation needs labels, split {split!r} has none')
    learned = data_set.restore_categories(workdir)
    if learned.sha256 != data.categories.sha256:
        raise UserError(
            f'{data.folder}: its category_names.csv must be the one that {workdir} learned, of '
            f'SHA-256 {learned.sha256}, got {data.categories.sha256}'
        )


def _count(pictures: Scored, products: Scored, tallies: _Tallies, *, top_k: int) -> Predictions:
    """Counts whole products' pictures and the products; the products' predictions."""

    def count(examples: Scored, every: metrics.Tally, unseen: metrics.Tally) -> Predictions:
        best = predictions.top(examples, top_k=top_k)
        for tally, chosen in [
            (every, np.ones_like(examples.leaked)),
            (unseen, ~examples.leaked),
        ]:
            tally.update(
                labels=best.label[chosen],
                predicted=best.predicted[chosen],
                label_log_probability=examples.label_log_probability[chosen],
            )
        return best

    count(pictures, tallies.pictures, tallies.pictures_without_leaked)
    return count(products, tallies.products, tallies.products_without_leaked)


def _check_whole(data: DataSet, tallies: _Tallies, *, split: str) -> None:
    """Checks that each product came in one piece; `train` may hold copies, the others never."""
    expected = sum(data.split(split).products_per_class)
    found = tallies.products.examples
    if split != 'train' and found != expected:
        raise UserError(
            f'{data.folder}: the pictures of a product must lie together in {split!r}, which has '
            f'{expected} products by its manifest, got {found}; make the data set again'
        )


def _evaluation(tallies: _Tallies, *, split: str, digest: str, rule: str) -> Evaluation:
    return Evaluation(
        split=split,
        product_rule=rule,
        data_digest=digest,
        products=metrics.figures(tallies.products),
        products_without_leaked=metrics.figures(tallies.products_without_leaked),
        pictures=metrics.figures(tallies.pictures),
        pictures_without_leaked=metrics.figures(tallies.pictures_without_leaked),
        confusion=tallies.products.confusion(),
    )
