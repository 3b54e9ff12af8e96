"""Tau-normalization of the last layer."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import UserError
from trainer import naming
from trainer.config import files
from trainer.data.data_set import DataSet, open_data_set
from trainer.evaluate import evaluation
from trainer.export import saved_model
from trainer.inference.runs import restore_member
from trainer.models import weights
from trainer.tau_norm import tau
from trainer.training.loop import train

_SMALL = (
    'batch_size=16',
    'total_steps=12',
    'log_every_steps=6',
    'checkpoint_every_steps=6',
    'model.channels=4',
    'input.shuffle_records=40',
    'optimizer.schedule.name=constant',
    'optimizer.schedule.warmup_steps=0',
)


Weights = dict[str, np.ndarray]


@pytest.fixture(scope='module')
def data(data_folder: str) -> DataSet:
    return open_data_set(data_folder)


def _train(data: DataSet, workdir: Path, *flags: str) -> Weights:
    """Trains a run and returns its weights, or their EMA if it keeps it."""
    train(files.load('configs/tiny.py', [*_SMALL, *flags]), data, str(workdir))
    return _weights(workdir)


def _weights(workdir: Path) -> Weights:
    model = restore_member(str(workdir))[0].model
    return {path: weight.numpy() for path, weight in weights.weight_paths(model)}


@pytest.fixture(scope='module')
def workdir(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run."""
    folder = tmp_path_factory.mktemp('run')
    _train(data, folder, 'step.ema_decay=0.5')
    return folder


def _changed(before: Weights, after: Weights) -> set[str]:
    return {path for path in before if not np.array_equal(before[path], after[path])}


def test_the_weights_of_a_class_are_divided_by_a_power_of_their_norm(
    workdir: Path, tmp_path: Path
) -> None:
    before = _weights(workdir)
    tau.write_normalized(workdir=str(workdir), output=str(tmp_path / 'half'), tau=0.5)
    after = _weights(tmp_path / 'half')
    kernel = before['logits/kernel']
    expected = kernel / np.linalg.norm(kernel, axis=0) ** 0.5
    np.testing.assert_allclose(after['logits/kernel'], expected, rtol=1e-5)
    assert (after['logits/bias'] == 0).all()
    assert _changed(before, after) == {'logits/kernel', 'logits/bias'}
    tau.write_normalized(workdir=str(workdir), output=str(tmp_path / 'one'), tau=1.0)
    norms = np.linalg.norm(_weights(tmp_path / 'one')['logits/kernel'], axis=0)
    np.testing.assert_allclose(norms, 1, rtol=1e-5)


def test_each_tau_is_evaluated_like_the_model_that_it_gives(
    data: DataSet, data_folder: str, workdir: Path, tmp_path: Path
) -> None:
    evaluated = tau.evaluate_taus(workdir=str(workdir), data_folder=data_folder, split='validation')
    assert [row.tau for row in evaluated] == list(tau.TAUS)
    tau.write_normalized(
        workdir=str(workdir), output=str(tmp_path / 'w'), tau=0.7, evaluated=evaluated
    )
    measured = evaluation.evaluate(
        workdir=str(tmp_path / 'w'),
        data_folder=data_folder,
        split='validation',
        output=str(tmp_path / 'report'),
    )
    row = evaluated[7]
    assert row.accuracy == measured.pictures.metrics.accuracy
    assert row.macro_recall == pytest.approx(measured.pictures.metrics.macro_recall, abs=1e-12)
    document = json.loads((tmp_path / 'w' / naming.TAU_NORM).read_text())
    assert document['tau'] == 0.7
    assert len(document['tried']) == 11


def test_the_model_card_of_a_tau_normalized_model_has_no_prior(
    workdir: Path, tmp_path: Path
) -> None:
    tau.write_normalized(workdir=str(workdir), output=str(tmp_path / 'w'), tau=1.0)
    output = tmp_path / 'model' / '1'
    saved_model.export(workdir=str(tmp_path / 'w'), output=str(output), top_k=2, threshold=0.5)
    card = json.loads((output / 'model_card.json').read_text())
    assert card['prior'] == 'unknown: the last layer is tau-normalized'


def test_invalid_arguments_are_errors(
    data: DataSet, data_folder: str, workdir: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r'--tau must be in \[0, 1\], got 1.5'):
        tau.write_normalized(workdir=str(workdir), output=str(tmp_path / 'w'), tau=1.5)
    with pytest.raises(UserError, match='--output must be a new folder'):
        tau.write_normalized(workdir=str(workdir), output=str(workdir), tau=1.0)
    with pytest.raises(UserError, match="labels, split 'predict' has none"):
        tau.evaluate_taus(workdir=str(workdir), data_folder=data_folder, split='predict')
    flags = ('model.last_layer=cosine', 'loss.name=ldam', 'loss.ldam_margin=15', 'total_steps=6')
    _train(data, tmp_path / 'cosine', *flags)
    with pytest.raises(UserError, match='last_layer must be dense for tau-normalization, got cos'):
        tau.write_normalized(workdir=str(tmp_path / 'cosine'), output=str(tmp_path / 'x'), tau=1.0)


def test_a_folder_that_cannot_be_written_is_an_error_and_left_unchanged(
    workdir: Path, tmp_path: Path
) -> None:
    (tmp_path / 'notes').mkdir()
    (tmp_path / 'notes' / 'today.md').touch()
    with pytest.raises(UserError, match=r'notes: .*today\.md; choose another folder'):
        tau.write_normalized(workdir=str(workdir), output=str(tmp_path / 'notes'), tau=1.0)
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='file: must be a folder, got a file'):
        tau.write_normalized(workdir=str(workdir), output=str(tmp_path / 'file' / 'w'), tau=1.0)
    shutil.copytree(workdir, tmp_path / 'source')
    (tmp_path / 'source' / 'category_names.csv').unlink()  # fails after the checkpoint is written
    with pytest.raises((UserError, FileNotFoundError)):
        tau.write_normalized(workdir=str(tmp_path / 'source'), output=str(tmp_path / 'w'), tau=1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'notes', 'source']


def test_tau_cannot_be_fitted_for_a_model_that_fuses_views(
    half_evidence_folder: str, fused_workdir: Path
) -> None:
    with pytest.raises(UserError, match='got a model that fuses views'):
        tau.evaluate_taus(
            workdir=str(fused_workdir), data_folder=half_evidence_folder, split='validation'
        )
