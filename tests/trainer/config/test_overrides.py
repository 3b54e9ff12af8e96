"""Overrides of config fields on a command line."""

from pathlib import Path

import pytest

from catalog.errors import UserError
from trainer.config import files, overrides

TINY = str(Path(__file__).parents[3] / 'configs' / 'tiny.py')


def test_overrides_apply_at_every_depth_and_in_order() -> None:
    loaded = files.load(
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
def test_an_invalid_override_is_an_error_that_names_the_field(override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        files.load(TINY, [override])
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


def test_only_config_overrides_are_split_from_the_command_line() -> None:
    argv = ['task.py', '--config=configs/tiny.py', '--config.a.b=c=d', '-config.x=1', '--data=.']
    assert overrides.split_arguments(argv, prefix='config.') == (
        ['a.b=c=d', 'x=1'],
        ['task.py', '--config=configs/tiny.py', '--data=.'],
    )


_TEXT_FIELDS = ('start.workdir', 'model.weights', 'distill.teacher', 'validation.split')
_RESNET = ('model.name=resnet50', 'input.height=32', 'input.width=32')


@pytest.mark.parametrize('field', _TEXT_FIELDS)
@pytest.mark.parametrize('text', ['2024', '1e5', 'true', 'True', 'NaN', '[1]', 'run/1'])
def test_a_field_of_strings_takes_any_text(field: str, text: str) -> None:
    config = files.load(TINY, [*_RESNET, f'{field}={text}'])
    assert files.flat(config)[field] == text


@pytest.mark.parametrize('none', ['None', 'null'])
@pytest.mark.parametrize('field', _TEXT_FIELDS[:3])
def test_an_optional_field_of_strings_can_be_reset_to_none(field: str, none: str) -> None:
    config = files.load(TINY, [*_RESNET, f'{field}=2024', f'{field}={none}'])
    assert files.flat(config)[field] is None


def test_a_choice_among_strings_is_a_string() -> None:
    with pytest.raises(UserError, match=r"optimizer\.name must be .* got '5'"):
        files.load(TINY, ['optimizer.name=5'])


def test_a_field_of_numbers_does_not_become_a_string() -> None:
    with pytest.raises(UserError) as caught:
        files.load(TINY, ['seed=abc'])
    assert str(caught.value) == "--config: seed must be a valid integer, got 'abc'"
