"""Evaluates a trained model on a split: one pass over the pictures, counted batch by batch.

Writes the table of predictions during the pass and reads it back for the metrics that need each
product: coverage, confidence intervals, label errors.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catalog import atomic_folder
from catalog.errors import UserError
from catalog.process.progress import Progress
from trainer import naming
from trainer.data import data_set
from trainer.data.data_set import DataSet
from trainer.evaluate import document, page, sample_images, showcase
from trainer.evaluate.result import EvaluationResult
from trainer.inference import split_scores
from trainer.inference.runs import Run, open_run
from trainer.inference.scores import top_predictions
from trainer.inference.split_scores import ScoredProducts
from trainer.metrics import bootstrap, coverage, prediction_table, shots
from trainer.metrics.calibration import FittedTemperatures, Temperatures
from trainer.metrics.classification import TOP
from trainer.metrics.label_errors import find_label_errors
from trainer.metrics.level_roc import LevelRocAccumulator
from trainer.metrics.prediction_table import Predictions
from trainer.metrics.subset_metrics import ExampleAccumulator
from trainer.undecodable.log import UndecodableLog
from trainer.undecodable.place import Place

FILES = frozenset(
    {naming.EVALUATION, naming.EVALUATION_PAGE, naming.LABEL_ERRORS, naming.PREDICTIONS}
)


@dataclass(frozen=True)
class EvaluateOptions:
    """How to evaluate.

    Attributes:
      top_k: Predictions a product in the table, at least 5.
      target: Required accuracy of auto-classified products, in (0, 1].
      tta: Test-time augmentation: `flip` averages a picture and its mirror image, `none` does not.
    """

    top_k: int = 5
    target: float = 0.95
    tta: str = 'none'

    def __post_init__(self) -> None:
        if self.top_k < TOP:
            raise UserError(f'--top_k must be at least {TOP}, got {self.top_k}')
        if not 0 < self.target <= 1:
            raise UserError(f'--target_accuracy must be in (0, 1], got {self.target:g}')


def evaluate(
    *,
    workdir: str,
    data_folder: str,
    split: str,
    output: str,
    options: EvaluateOptions | None = None,
) -> EvaluationResult:
    """Evaluates the newest checkpoint of a workdir and writes `output` atomically.

    The devices of the strategy whose scope it is called in divide each batch.

    Args:
      workdir: Of a run or an ensemble.
      data_folder: A data set with the category tree that the run was trained with.
      split: A labelled split of it.
      output: A new folder, or one of an earlier evaluation, which is replaced.
      options: How to evaluate.

    Raises:
      UserError: If the workdir has no checkpoint, or the data do not fit the run or the split.
    """
    options = options or EvaluateOptions()
    run = open_run(workdir, tta=options.tta)
    data = data_set.open_data_set(data_folder)
    split_scores.check_split(data, workdir=workdir, split=split)
    with atomic_folder.replace(output, files=FILES, last=naming.EVALUATION) as partial:
        undecodable = UndecodableLog(data.paths(split))
        temperatures, pieces = split_scores.score_calibrated(
            run, data, split, undecodable=undecodable
        )
        counted = _count(
            pieces,
            data,
            split=split,
            table=partial / naming.PREDICTIONS,
            temperatures=temperatures.temperatures,
            top_k=options.top_k,
            undecodable=undecodable,
        )
        evaluation = _evaluation(
            counted, run, data, temperatures, split=split, target=options.target
        )
        _write(evaluation, data, folder=partial)
    return evaluation


@dataclass(frozen=True)
class _Counted:
    products: ExampleAccumulator
    pictures: ExampleAccumulator
    roc: LevelRocAccumulator  # of products
    predictions: Predictions  # of products
    undecodable: tuple[Place, ...]
    not_evaluated: tuple[int, ...]


def _count(
    pieces: Iterable[ScoredProducts],
    data: DataSet,
    *,
    split: str,
    table: Path,
    temperatures: Temperatures,
    top_k: int,
    undecodable: UndecodableLog,
) -> _Counted:
    """Counts pictures and products, and writes the table of predictions for the products."""
    products, pictures = ExampleAccumulator(data.categories), ExampleAccumulator(data.categories)
    roc = LevelRocAccumulator(data.categories)
    progress = Progress('evaluate', total=data.split(split).pictures, unit='picture')
    with prediction_table.open_writer(str(table), data.keys) as writer:
        for piece in pieces:
            best = top_predictions(piece.pictures, top_k=top_k, temperature=temperatures.picture)
            pictures.update(best, piece.pictures.probabilities)
            best = top_predictions(piece.products, top_k=top_k, temperature=temperatures.product)
            products.update(best, piece.products.probabilities)
            roc.update(labels=piece.products.label, probabilities=piece.products.probabilities)
            writer.write(best)
            progress.update(pictures.examples)
    progress.close()
    undecodable.report()
    predictions = prediction_table.read(str(table))
    not_evaluated = sorted(
        {place.product_id for place in undecodable.places} - set(predictions.product_id.tolist())
    )
    _check_products(data, products.examples, split=split, left_out=len(not_evaluated))
    return _Counted(
        products,
        pictures,
        roc,
        predictions,
        undecodable=tuple(undecodable.places),
        not_evaluated=tuple(not_evaluated),
    )


def _check_products(data: DataSet, found: int, *, split: str, left_out: int) -> None:
    """Checks that each product's pictures were adjacent; `train` may contain oversampled copies."""
    if not found:
        raise UserError(f'{data.folder}: {split!r} must have a decodable picture, got none')
    expected = sum(data.split(split).products_per_class) - left_out
    if split != 'train' and found != expected:
        raise UserError(
            f'{data.folder}: the pictures of a product must be adjacent in {split!r}, which has '
            f'{expected} decodable products by its manifest, got {found}; make the data set again'
        )


def _evaluation(
    counted: _Counted,
    run: Run,
    data: DataSet,
    temperatures: FittedTemperatures,
    *,
    split: str,
    target: float,
) -> EvaluationResult:
    predictions, confusion = counted.predictions, counted.products.confusion()
    products, products_without_leaked = counted.products.compute()
    pictures, pictures_without_leaked = counted.pictures.compute()
    curve = coverage.coverage_curve(predictions.confidence[:, 0], predictions.hit)
    intervals = bootstrap.confidence_intervals(predictions, target=target)
    label_errors = find_label_errors(
        label=predictions.label,
        own=np.exp(predictions.label_log_probability),
        predicted=predictions.predicted,
        probability=predictions.probability,
        kappa=intervals['kappa'][0],
        num_classes=data.num_classes,
    )
    shown = showcase.select_showcase(predictions, label_errors, confusion)
    return EvaluationResult(
        split=split,
        step=run.step,
        product_rule=run.product_rule,
        tta=run.tta,
        data_digest=data.digest,
        products=products,
        products_without_leaked=products_without_leaked,
        pictures=pictures,
        pictures_without_leaked=pictures_without_leaked,
        confusion=confusion,
        roc=counted.roc.compute(),
        leaf_auc=counted.roc.compute_by_leaf(),
        shots=shots.compute_shot_metrics(confusion, np.asarray(run.info.natural_prior)),
        temperatures=temperatures,
        coverage_curve=coverage.thin_curve(curve),
        coverage=coverage.coverage_at_targets(curve, sorted({*coverage.TARGETS, target})),
        target=target,
        intervals=intervals,
        predictions=predictions,
        label_errors=label_errors,
        showcase=shown,
        sample_images=sample_images.load_sample_images(data, split, shown.product_ids(predictions)),
        undecodable=counted.undecodable,
        not_evaluated=counted.not_evaluated,
        train_products=data.manifest.train_products,
        pseudo_labelled=data.manifest.pseudo_labelled_products,
        keys=data.keys,
    )


def _write(evaluation: EvaluationResult, data: DataSet, *, folder: Path) -> None:
    tree = data.categories
    text = json.dumps(document.build_document(evaluation, tree), indent=1, ensure_ascii=False)
    (folder / naming.EVALUATION).write_text(text + '\n', encoding='utf-8')
    (folder / naming.EVALUATION_PAGE).write_bytes(page.render_page(evaluation, tree))
    label_errors = document.label_errors_csv(evaluation, tree)
    (folder / naming.LABEL_ERRORS).write_text(label_errors, encoding='utf-8')
