"""Measures a trained model on a split: one pass over the pictures, everything counted as it comes.

Writes the table of predictions on the way, and reads from it what needs each product: coverage,
intervals, suspects. The report is `evaluation_document`'s (JSON), `evaluation_page`'s (HTML) and
`evaluation_report`'s (text).
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
from trainer.evaluate import document as evaluation_document
from trainer.evaluate import page as evaluation_page
from trainer.evaluate import sample_images, showcase
from trainer.evaluate import text as evaluation_report
from trainer.evaluate.result import Evaluation
from trainer.inference import runs as restoring
from trainer.inference import scores as predictions
from trainer.inference import split_scores as scoring
from trainer.inference.runs import Run
from trainer.inference.split_scores import Piece
from trainer.metrics import bootstrap, breakdowns, coverage, prediction_table, roc_auc
from trainer.metrics import classification as metrics
from trainer.metrics import label_errors as suspects
from trainer.metrics.calibration import FittedTemperatures, Temperatures
from trainer.metrics.label_errors import LabelErrors
from trainer.metrics.prediction_table import Predictions
from trainer.metrics.roc_auc import RocAucAccumulator
from trainer.metrics.subset_metrics import ExampleAccumulator

FILES = frozenset(
    {
        naming.EVALUATION,
        naming.EVALUATION_PAGE,
        evaluation_report.SUSPECTS,
        naming.PREDICTIONS,
    }
)


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
      top_k: predictions kept a product, at least 5.
      target: accuracy of what is filed without a person looking, in (0, 1].
      auc_bytes: disk for exact AUCs, see `roc_auc`.
      tta: `flip` asks each picture and its mirror image together, `none` does not.
    """

    top_k: int = 5
    target: float = 0.95
    auc_bytes: int = roc_auc.BUDGET_BYTES
    tta: str = 'none'

    def __post_init__(self) -> None:
        if self.top_k < metrics.TOP:
            raise UserError(f'--top_k must be at least {metrics.TOP}, got {self.top_k}')
        if not 0 < self.target <= 1:
            raise UserError(f'--target_accuracy must be in (0, 1], got {self.target:g}')
        if self.auc_bytes < 0:
            raise UserError(f'--auc_gb must be at least 0, got {self.auc_bytes / 2**30:g}')


def evaluate(
    *, workdir: str, data_folder: str, split: str, output: str, options: Options | None = None
) -> Evaluation:
    """Measures the newest checkpoint of a workdir and writes `output`, whole or not at all.

    Args:
      workdir: of a run or an ensemble.
      data_folder: a data set with the category tree that the run learned.
      split: a labelled split of it.
      output: a new folder, or one of an earlier evaluation, which is replaced.
      options: how to measure.

    Raises:
      UserError: if the workdir has no checkpoint, or the data do not fit it or the split.
    """
    options = options or Options()
    run = restoring.open_run(workdir, tta=options.tta)
    data = data_set.open_data_set(data_folder)
    scoring.check(data, workdir=workdir, split=split)
    with atomic_folder.replace(output, files=FILES) as partial:
        calibrated, pieces = scoring.calibrated(run, data, split)
        counted = _count(
            pieces,
            data,
            split=split,
            table=partial / naming.PREDICTIONS,
            temperatures=calibrated.temperatures,
            options=options,
        )
        evaluation = _evaluation(counted, run, data, calibrated, split=split, options=options)
        _write(evaluation, data, folder=partial)
    return evaluation


@dataclass(frozen=True)
class _Counted:
    products: ExampleAccumulator
    pictures: ExampleAccumulator
    auc: roc_auc.RocAuc
    rows: Predictions  # of products


def _count(
    pieces: Iterable[Piece],
    data: DataSet,
    *,
    split: str,
    table: Path,
    temperatures: Temperatures,
    options: Options,
) -> _Counted:
    """Counts pictures and products, and writes the table of these."""
    products, pictures = ExampleAccumulator(data.categories), ExampleAccumulator(data.categories)
    records = data.split(split).records
    progress = Progress('evaluate', total=data.split(split).pictures, unit='picture')
    with (
        RocAucAccumulator(
            data.num_classes, examples=records, budget_bytes=options.auc_bytes
        ) as auc,
        prediction_table.writer(str(table)) as rows,
    ):
        for piece in pieces:
            for measure, examples, temperature in [
                (pictures, piece.pictures, temperatures.picture),
                (products, piece.products, temperatures.product),
            ]:
                best = predictions.top(examples, top_k=options.top_k, temperature=temperature)
                measure.update(best, examples.probabilities)
            auc.update(labels=examples.label, probabilities=examples.probabilities)
            rows.write(best)
            progress.update(pictures.examples)
        found = auc.figures()
    progress.close()
    _check_whole(data, products.examples, split=split)
    return _Counted(products, pictures, found, prediction_table.read(str(table)))


def _check_whole(data: DataSet, found: int, *, split: str) -> None:
    """Checks that each product came in one piece; `train` may hold copies, the others never."""
    expected = sum(data.split(split).products_per_class)
    if split != 'train' and found != expected:
        raise UserError(
            f'{data.folder}: the pictures of a product must lie together in {split!r}, which has '
            f'{expected} products by its manifest, got {found}; make the data set again'
        )


def _evaluation(
    counted: _Counted,
    run: Run,
    data: DataSet,
    calibrated: FittedTemperatures,
    *,
    split: str,
    options: Options,
) -> Evaluation:
    rows, confusion = counted.rows, counted.products.confusion()
    products, products_without_leaked = counted.products.measured()
    pictures, pictures_without_leaked = counted.pictures.measured()
    curve = coverage.curve(rows.confidence[:, 0], rows.hit)
    found = _suspects(rows, num_classes=data.num_classes)
    shown = showcase.select_showcase(rows, found, confusion)
    return Evaluation(
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
        auc=counted.auc,
        thirds=breakdowns.thirds(confusion, np.asarray(run.info.natural_prior)),
        calibrated=calibrated,
        curve=coverage.thinned(curve),
        coverage=coverage.at_targets(curve, sorted({*coverage.TARGETS, options.target})),
        target=options.target,
        intervals=bootstrap.intervals(rows, target=options.target),
        rows=rows,
        suspects=found,
        showcase=shown,
        sample_images=sample_images.load_sample_images(
            data, split, shown.products(rows), config=run.config
        ),
    )


def _suspects(rows: Predictions, *, num_classes: int) -> LabelErrors:
    return suspects.find(
        label=rows.label,
        own=np.exp(rows.label_log_probability),
        predicted=rows.predicted,
        probability=rows.probability,
        num_classes=num_classes,
    )


def _write(evaluation: Evaluation, data: DataSet, *, folder: Path) -> None:
    tree = data.categories
    document = evaluation_document.of(evaluation, tree)
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (folder / naming.EVALUATION).write_text(text + '\n', encoding='utf-8')
    (folder / naming.EVALUATION_PAGE).write_bytes(evaluation_page.page(evaluation, tree))
    suspected = evaluation_document.suspects_csv(evaluation, tree)
    (folder / evaluation_report.SUSPECTS).write_text(suspected, encoding='utf-8')
