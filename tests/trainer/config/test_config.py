import dataclasses
import json
from pathlib import Path

import pytest

from catalog.errors import UserError
from trainer.config import ModelConfig, OptimizerConfig, TrainConfig, overrides
from trainer.config import files as config_files
from trainer.workdir import run_files

TINY = str(Path(__file__).parents[3] / 'configs' / 'tiny.py')


def _write(tmp_path: Path, body: str) -> str:
    path = tmp_path / 'run.py'
    path.write_text(f'from trainer.config import *\n\n\ndef get_config():\n    return {body}\n')
    return str(path)


def test_every_config_of_the_repository_loads() -> None:
    for path in sorted(Path(TINY).parent.glob('[a-z]*.py')):
        assert isinstance(config_files.load(str(path)), TrainConfig), path


def test_overrides_reach_every_depth_in_turn() -> None:
    loaded = config_files.load(
        TINY,
        [
            'batch_size=32',
            'optimizer.learning_rate=1e-2',
            'optimizer.schedule.name=exponential',
            'augment.flip=False',
            'num_devices=2',
            'num_devices=null',
            'batch_size=64',
        ],
    )
    assert loaded.batch_size == 64
    assert loaded.optimizer.learning_rate == 0.01
    assert loaded.optimizer.schedule.name == 'exponential'
    assert loaded.augment.flip is False
    assert loaded.num_devices is None


@pytest.mark.parametrize(
    ('override', 'message'),
    [
        ('modle.name=small_cnn', "--config has no field 'modle'; it has seed, batch_size"),
        ('model.nme=x', "--config.model has no field 'nme'; it has name, weights, dropout"),
        ('model.dropout.x=1', "--config.model.dropout is a value and has no field 'x'"),
        ('model=small_cnn', '--config.model is a group of fields; set one of model.name'),
        ('batch_size', '--config.batch_size must have a value'),
        ('batch_size=1.5', 'batch_size must be a valid integer, got 1.5'),
        ('batch_size=many', "batch_size must be a valid integer, got 'many'"),
        ('batch_size=0', 'batch_size must be greater than or equal to 1, got 0'),
        ('batch_size=true', 'batch_size must be a valid integer, got True'),
        ('augment.flip=1', 'augment.flip must be a valid boolean, got 1'),
        (
            'model.name=vgg',
            'model.name must be one of small_cnn, small_resnet, small_xception, efficientnet_lite0',
        ),
        ('model.dropout=1', 'model.dropout must be less than 1, got 1'),
        ('optimizer.learning_rate=NaN', 'optimizer.learning_rate must be a finite number'),
        ('model.weights=imagenet', "weights of small_cnn must be None, got 'imagenet'"),
        ('model.name=inception_v3', 'must be at least 75 for inception_v3, got 28 and 28'),
    ],
)
def test_a_mistaken_override_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        config_files.load(TINY, [override])
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


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
def test_a_mistaken_config_file_is_refused_by_name(tmp_path: Path, body: str, message: str) -> None:
    path = _write(tmp_path, body)
    with pytest.raises(UserError) as caught:
        config_files.load(path)
    assert f'{path}: ' in str(caught.value)
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_config_file_must_be_there_and_define_get_config(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'there is no .*absent\.py'):
        config_files.load(str(tmp_path / 'absent.py'))
    with pytest.raises(UserError, match='must be a Python file'):
        config_files.load(str(tmp_path / 'config.json'))
    empty = tmp_path / 'empty.py'
    empty.write_text('')
    with pytest.raises(UserError, match='must define get_config'):
        config_files.load(str(empty))


def test_a_config_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().dropout = 0.5  # type: ignore[misc]


def test_a_saved_config_comes_back_equal_with_every_field_written_out(tmp_path: Path) -> None:
    saved = config_files.load(TINY, ['optimizer.learning_rate=0.1', 'model.dropout=0'])
    run_files.save_config(saved, str(tmp_path))
    document = json.loads((tmp_path / 'config.json').read_text())
    assert document['optimizer']['learning_rate'] == 0.1
    assert document['loss']['target_power'] == 1.0
    assert run_files.restore_config(str(tmp_path)) == saved


def test_a_config_json_that_is_absent_or_wrong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'must have a config\.json, got none'):
        run_files.restore_config(str(tmp_path))
    (tmp_path / 'config.json').write_text('{"batch_size": 8')
    with pytest.raises(UserError, match='must be JSON'):
        run_files.restore_config(str(tmp_path))
    (tmp_path / 'config.json').write_text('{"batch_size": 8, "total_steps": 1, "lr": 1}')
    with pytest.raises(UserError, match="there is no field 'lr'"):
        run_files.restore_config(str(tmp_path))


def test_a_run_goes_on_with_more_steps_but_not_with_another_learning_rate(tmp_path: Path) -> None:
    first = TrainConfig(batch_size=8, total_steps=10)
    run_files.save_config(first, str(tmp_path))
    run_files.check_resumable(
        TrainConfig(batch_size=8, total_steps=99, log_every_steps=1, checkpoint_every_steps=5),
        str(tmp_path),
    )
    other = TrainConfig(batch_size=16, total_steps=10, optimizer=OptimizerConfig(learning_rate=0.5))
    with pytest.raises(UserError) as caught:
        run_files.check_resumable(other, str(tmp_path))
    changes = 'batch_size was 8 and now is 16; optimizer.learning_rate was 0.001 and now is 0.5'
    assert changes in str(caught.value)


def test_a_run_of_an_earlier_version_resumes_with_its_defaults(tmp_path: Path) -> None:
    """Earlier versions wrote the goal `min` and the decay 0.0001, whatever used them."""
    config = TrainConfig(batch_size=8, total_steps=10, optimizer=OptimizerConfig(name='adamw'))
    run_files.save_config(config, str(tmp_path))
    path = tmp_path / 'config.json'
    document = json.loads(path.read_text())
    assert document['optimizer']['weight_decay'] is None
    assert document['optimizer']['schedule']['plateau_goal'] is None
    document['optimizer']['weight_decay'] = 1e-4
    document['optimizer']['schedule']['plateau_goal'] = 'min'
    path.write_text(json.dumps(document))
    run_files.check_resumable(config, str(tmp_path))
    without = dataclasses.replace(config, optimizer=OptimizerConfig(name='adamw', weight_decay=0.0))
    with pytest.raises(UserError, match=r'weight_decay was 0\.0001 and now is 0\.0'):
        run_files.check_resumable(without, str(tmp_path))


def test_only_arguments_of_the_config_are_taken_from_the_command_line() -> None:
    argv = ['task.py', '--config=configs/tiny.py', '--config.a.b=c=d', '-config.x=1', '--data=.']
    assert overrides.split_arguments(argv, prefix='config.') == (
        ['a.b=c=d', 'x=1'],
        ['task.py', '--config=configs/tiny.py', '--data=.'],
    )
