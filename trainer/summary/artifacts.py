"""What a whole run left behind, read from its folders. Knows no TensorFlow; says nothing itself.

Answers of a server, as `serving.query --json=FILE` writes them; and whether two agree.
"""

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
from trainer.metrics import classification as metrics
from trainer.metrics import prediction_table
from trainer.metrics.classification import Confusion
from trainer.workdir import run_files


@dataclass(frozen=True)
class Prediction:
    """One category of an answer.

    Attributes:
      category_id: the shop's number.
      confidence: as the server's float32 says it.
      path: names of level 1 to 3.
    """

    label: int
    category_id: int
    confidence: np.float32
    path: tuple[str, str, str]


@dataclass(frozen=True)
class Answer:
    """The categories of one picture, the likeliest first."""

    image: str
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True)
class Answers:
    """What one server said over one transport."""

    transport: str
    server: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class RunRecord:
    """A run from data set to answers.

    Attributes:
      manifest: of the data set.
      tree: its categories.
      config: of the training.
      steps: that were logged, ascending.
      losses: of training, by logged step.
      evaluation: what evaluation.json says.
      confusion: of the products of the evaluated split.
      answers: by transport.
      differing: images that the transports answered differently.
      photos: the bytes of each image asked about, by its path.
    """

    manifest: Manifest
    tree: Categories
    config: TrainConfig
    steps: list[int]
    losses: list[float]
    evaluation: dict[str, Any]
    confusion: Confusion
    answers: tuple[Answers, ...]
    differing: list[str]
    photos: dict[str, bytes]


def read(*, data: str, workdir: str, export: str, answers: Sequence[str]) -> RunRecord:
    """Reads what a run left.

    Raises:
      UserError: naming what is missing and what writes it.
    """
    _require(storage.join(export, 'saved_model.pb'), maker='trainer.export')
    found = manifest.read(data)
    tree = manifest.read_categories(data, found)
    rows = _metrics(workdir)
    transports = tuple(read_answers(path) for path in answers)
    images = [answer.image for answer in transports[0].answers] if transports else []
    return RunRecord(
        manifest=found,
        tree=tree,
        config=run_files.restore_config(workdir),
        steps=[int(row['step']) for row in rows],
        losses=[row['loss'] for row in rows],
        evaluation=_evaluation(workdir),
        confusion=_confusion(workdir, num_classes=len(tree)),
        answers=transports,
        differing=differing(transports),
        photos={image: storage.read_bytes(image) for image in images},
    )


def _require(path: str, *, maker: str) -> None:
    if not storage.exists(path):
        raise UserError(f'{path}: must be there, got no such file; {maker} writes it')


def _metrics(workdir: str) -> list[dict[str, float]]:
    path = storage.join(workdir, naming.METRICS)
    _require(path, maker='trainer.task')
    lines = storage.read_bytes(path).decode().splitlines(keepends=True)
    # A run that was killed may have left half a line.
    return [json.loads(line) for line in lines if line.endswith('\n')]


def _evaluation(workdir: str) -> dict[str, Any]:
    path = storage.join(workdir, naming.REPORT, naming.EVALUATION)
    _require(path, maker=f'trainer.evaluate --output={storage.join(workdir, naming.REPORT)}')
    document: dict[str, Any] = json.loads(storage.read_bytes(path))
    return document


def _confusion(workdir: str, *, num_classes: int) -> Confusion:
    """Counted again from the table of predictions."""
    path = storage.join(workdir, naming.REPORT, naming.PREDICTIONS)
    _require(path, maker='trainer.evaluate')
    rows = prediction_table.read(path)
    tally = metrics.MetricsAccumulator(num_classes)
    unknown = np.zeros(len(rows.label))  # the table has no probability of the label
    tally.update(labels=rows.label, predicted=rows.predicted, label_log_probability=unknown)
    return tally.confusion()


def read_answers(path: str) -> Answers:
    """Reads the answers of a server.

    Raises:
      UserError: if the file is not what `serving.query --json` writes.
    """
    try:
        document = json.loads(storage.read_bytes(path))
        return Answers(
            transport=document['transport'],
            server=document['server'],
            answers=tuple(_answer(answer) for answer in document['answers']),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path}: must be what serving.query --json writes, got {error!r}'
        ) from error


def _answer(document: dict[str, Any]) -> Answer:
    return Answer(
        image=document['image'],
        predictions=tuple(
            Prediction(
                label=item['label'],
                category_id=item['category_id'],
                confidence=np.float32(item['confidence']),
                path=(item['level1'], item['level2'], item['level3']),
            )
            for item in document['predictions']
        ),
    )


def differing(transports: Sequence[Answers]) -> list[str]:
    """The images to which not all transports gave one and the same answer.

    Raises:
      UserError: if the transports were not asked about the same images in the same order.
    """
    asked = {tuple(answer.image for answer in answers.answers) for answers in transports}
    if len(asked) > 1:
        raise UserError('--answers: the files must be of the same images in the same order')
    return [
        answers[0].image
        for answers in zip(*(answers.answers for answers in transports), strict=True)
        if len(set(answers)) > 1
    ]
