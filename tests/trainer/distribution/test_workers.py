"""The place of a process in a run, read from TF_CONFIG."""

import pytest

from catalog.errors import UserError
from trainer.distribution import workers


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ('', 'TF_CONFIG must be set for multi_worker'),
        ('{"cluster"', 'TF_CONFIG must be like'),
        ('{"cluster": {}, "task": {"index": 0}}', 'TF_CONFIG must be like'),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
            'must list workers only',
        ),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            'index must be below 2, got 2',
        ),
    ],
)
def test_an_invalid_tf_config_is_an_error(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    monkeypatch.setenv('TF_CONFIG', value)
    with pytest.raises(UserError, match=message):
        workers.read_cluster()
