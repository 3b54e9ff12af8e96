"""What is trained on which machines, and the config that follows from them."""

import pytest

from catalog.errors import UserError
from trainer.submit.machines import MACHINES
from trainer.submit.training_job import TrainingJob

GIVEN = {
    'name': 'shop',
    'image': 'eu-docker.pkg.dev/p/shop/train:1',
    'config_path': 'configs/tiny.py',
    'data': 'gs://shop/shards',
    'workdir': 'gs://shop/work',
}


def _job(machine: str, **changes: object) -> TrainingJob:
    return TrainingJob(**{**GIVEN, 'machine': MACHINES[machine], **changes})


@pytest.mark.parametrize(
    ('machine', 'hosts', 'values'),
    [
        ('cpu', 1, ['strategy=one_device', 'device=cpu']),
        ('cpu', 2, ['strategy=multi_worker', 'device=cpu']),
        ('l4', 1, ['strategy=one_device', 'device=gpu']),
        ('a100x8', 1, ['strategy=mirrored', 'device=gpu', 'num_devices=8']),
        ('a100x8', 4, ['strategy=multi_worker', 'device=gpu']),
        ('v5ex8', 1, ['strategy=tpu']),
    ],
)
def test_the_strategy_follows_from_the_machines(
    machine: str, hosts: int, values: list[str]
) -> None:
    job = _job(machine, hosts=hosts, overrides=('total_steps=500',))
    assert job.arguments == [
        '--config=configs/tiny.py',
        '--data=gs://shop/shards',
        '--workdir=gs://shop/work',
        *(f'--config.{value}' for value in values),
        '--config.total_steps=500',
    ]
    assert job.config.total_steps == 500


@pytest.mark.parametrize(
    ('machine', 'changes', 'message'),
    [
        ('l4', {'name': 'Shop_1'}, "--name must be at most 40 lower-case .*, got 'Shop_1'"),
        ('l4', {'image': ''}, "--image must be a container image, got ''"),
        ('l4', {'data': 'shards'}, '--data must begin with gs://, got shards'),
        ('l4', {'workdir': '/w'}, '--workdir must begin with gs://, got /w'),
        ('l4', {'config_path': '/etc/a.py'}, '--config must be a path relative to the working'),
        ('l4', {'hosts': 0}, '--hosts must be at least 1, got 0'),
        ('v5ex8', {'hosts': 2}, '--hosts must be 1 for a TPU, got 2'),
    ],
)
def test_an_invalid_job_is_an_error(machine: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _job(machine, **changes)


@pytest.mark.parametrize(
    ('machine', 'changes', 'message'),
    [
        (
            'l4x8',
            {'hosts': 2, 'overrides': ('strategy=mirrored',)},
            r'--config.strategy follows from .* and must be multi_worker, got mirrored; leave it',
        ),
        (
            'l4x8',
            {'overrides': ('batch_size=100',)},
            'batch_size must be a multiple of the 8 devices, got 100',
        ),
        ('l4', {'overrides': ('learning=1',)}, "--config has no field 'learning'"),
        ('l4', {'config_path': 'configs/none.py'}, 'there is no configs/none.py'),
    ],
)
def test_a_config_that_does_not_suit_is_an_error_before_the_job_is_sent(
    machine: str, changes: dict[str, object], message: str
) -> None:
    job = _job(machine, **changes)
    with pytest.raises(UserError, match=message):
        _ = job.config
