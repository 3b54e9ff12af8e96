"""Configs in files of Python."""

import dataclasses
from pathlib import Path

import pytest

from catalog.errors import UserError
from trainer.config import ModelConfig, TrainConfig, files

TINY = str(Path(__file__).parents[3] / 'configs' / 'tiny.py')


def _write(tmp_path: Path, body: str) -> str:
    path = tmp_path / 'run.py'
    path.write_text(f'from trainer.config import *\n\n\ndef get_config():\n    return {body}\n')
    return str(path)


def test_every_config_of_the_repository_loads() -> None:
    for path in sorted(Path(TINY).parent.glob('[a-z]*.py')):
        assert isinstance(files.load(str(path)), TrainConfig), path


@pytest.mark.parametrize(
    ('body', 'message'),
    [
        ('TrainConfig(batch_size=8)', 'total_steps must be given'),
        (
            'TrainConfig(batch_size=8, total_steps=1, sed=3)',
            "there is no field 'sed'; TrainConfig has seed, batch_size",
        ),
        (
            'TrainConfig(batch_size=8, total_steps=1, loss=LossConfig(smoothing=1))',
            "there is no field 'smoothing'; LossConfig has name, target_power",
        ),
        (
            'TrainConfig(batch_size=8, total_steps=1, optimizer=OptimizerConfig('
            'schedule=ScheduleConfig(warm=1)))',
            "there is no field 'warm'; ScheduleConfig has name, warmup_steps",
        ),
        (
            "TrainConfig(batch_size='8', total_steps=1)",
            "batch_size must be a valid integer, got '8'",
        ),
        ('{}', 'get_config() must return a TrainConfig, got dict'),
    ],
)
def test_an_invalid_config_file_is_an_error_that_names_the_field(
    tmp_path: Path, body: str, message: str
) -> None:
    path = _write(tmp_path, body)
    with pytest.raises(UserError) as caught:
        files.load(path)
    assert f'{path}: ' in str(caught.value)
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_config_file_must_exist_and_define_get_config(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'there is no .*absent\.py'):
        files.load(str(tmp_path / 'absent.py'))
    with pytest.raises(UserError, match='must be a Python file'):
        files.load(str(tmp_path / 'config.json'))
    empty = tmp_path / 'empty.py'
    empty.write_text('')
    with pytest.raises(UserError, match='must define get_config'):
        files.load(str(empty))


def test_a_config_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().dropout = 0.5  # type: ignore[misc]
