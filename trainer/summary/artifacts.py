"""Everything that a run left behind, read from its folders. Uses no TensorFlow."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from catalog import manifest, storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.manifest import Manifest
from trainer import naming
from trainer.config import TrainConfig
from trainer.metrics import prediction_table
from trainer.metrics.classification import Confusion, MetricsAccumulator
from trainer.summary.responses import TransportResponses, find_differing, read_responses
from trainer.workdir import metrics_file, run_files


@dataclass(frozen=True)
class RunArtifacts:
    """A run, from its data set to a server's responses.

    Attributes:
      manifest: Of the data set.
      tree: Categories of the data set.
      config: Of the training run.
      steps: Logged steps, ascending.
      losses: Training loss of each logged step.
      validation: Steps and losses of the evaluations while training.
      evaluation: Contents of evaluation.json.
      confusion: Of the products of the evaluated split.
      responses: One for each transport.
      differing: Images with different responses over different transports.
      images: Bytes of each image that the server was asked about, by path.
    """

    manifest: Manifest
    tree: Categories
    config: TrainConfig
    steps: list[int]
    losses: list[float]
    validation: list[tuple[int, float]]
    evaluation: dict[str, Any]
    confusion: Confusion
    responses: tuple[TransportResponses, ...]
    differing: list[str]
    images: dict[str, bytes]


def read_run(*, data: str, workdir: str, export: str, answers: Sequence[str]) -> RunArtifacts:
    """Reads a run from its folders.

    Args:
      data: Folder of the data set.
      workdir: Folder of the training run.
      export: Version folder of the exported model.
      answers: JSON files of serving.query.

    Raises:
      UserError: If a file is missing, naming the command that writes it.
    """
    _require(storage.join(export, naming.SAVED_MODEL), writer='trainer.export')
    data_manifest = manifest.read(data)
    tree = manifest.read_categories(data, data_manifest)
    _require(storage.join(workdir, naming.METRICS), writer='trainer.task')
    logged = metrics_file.read_metrics(workdir)
    responses = tuple(read_responses(path) for path in answers)
    paths = [response.image for response in responses[0].images] if responses else []
    return RunArtifacts(
        manifest=data_manifest,
        tree=tree,
        config=run_files.restore_config(workdir),
        steps=[int(row['step']) for row in logged],
        losses=[row['loss'] for row in logged],
        validation=[
            (int(row['step']), row['validation_loss']) for row in logged if 'validation_loss' in row
        ],
        evaluation=_read_evaluation(workdir),
        confusion=_read_confusion(workdir, num_classes=len(tree)),
        responses=responses,
        differing=find_differing(responses),
        images={path: storage.read_bytes(path) for path in paths},
    )


def _require(path: str, *, writer: str) -> None:
    if not storage.exists(path):
        raise UserError(f'{path}: must exist, got no such file; {writer} writes it')


def _read_evaluation(workdir: str) -> dict[str, Any]:
    path = storage.join(workdir, naming.REPORT, naming.EVALUATION)
    _require(path, writer=f'trainer.evaluate --output={storage.join(workdir, naming.REPORT)}')
    document: dict[str, Any] = json.loads(storage.read_bytes(path))
    return document


def _read_confusion(workdir: str, *, num_classes: int) -> Confusion:
    """Counts the confusion again from the table of predictions."""
    path = storage.join(workdir, naming.REPORT, naming.PREDICTIONS)
    _require(path, writer='trainer.evaluate')
    table = prediction_table.read(path)
    accumulator = MetricsAccumulator(num_classes)
    accumulator.update(
        labels=table.label,
        predicted=table.predicted,
        label_log_probability=np.zeros(len(table.label)),  # only the confusion is used
    )
    return accumulator.confusion()
