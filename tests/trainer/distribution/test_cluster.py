"""The place of a process in a run, read from TF_CONFIG."""

import json

import pytest

from catalog.errors import UserError
from trainer.distribution.cluster import Cluster, read_cluster


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ('', 'TF_CONFIG must be set for multi_worker'),
        ('{"cluster"', 'TF_CONFIG must be like'),
        ('[]', 'TF_CONFIG must be like'),
        ('{"cluster": {}, "task": {"index": 0}}', 'at most one chief only'),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
            'must list workers and at most one chief only',
        ),
        (
            '{"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}',
            'must list workers and at most one chief only',
        ),
        (
            '{"cluster": {"chief": ["a:1"]}, "task": {"type": "worker", "index": 0}}',
            'must list workers and at most one chief only',
        ),
        (
            '{"cluster": {"worker": ["a", "b:1"]}, "task": {"type": "worker", "index": 0}}',
            'TF_CONFIG must be like',
        ),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            'index must be below 2, got 2',
        ),
        (
            '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", '
            '"index": 1}}',
            'index must be below 1, got 1',
        ),
    ],
)
def test_an_invalid_tf_config_is_an_error(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    monkeypatch.setenv('TF_CONFIG', value)
    with pytest.raises(UserError, match=message):
        read_cluster()


@pytest.mark.parametrize(
    ('kind', 'index', 'place'), [('chief', 0, 0), ('worker', 0, 1), ('worker', 1, 2)]
)
def test_the_chief_of_vertex_ai_comes_before_its_workers(
    monkeypatch: pytest.MonkeyPatch, kind: str, index: int, place: int
) -> None:
    value = {
        'cluster': {'chief': ['pool0-0:2222'], 'worker': ['pool1-0:2222', 'pool1-1:2222']},
        'environment': 'cloud',
        'job': '{"use_chief_in_tf_config":true}',
        'task': {'type': kind, 'index': index, 'trial': '7', 'cloud': 'fde3a6d5-0b45'},
    }
    monkeypatch.setenv('TF_CONFIG', json.dumps(value))
    cluster = read_cluster()
    addresses = ('pool0-0:2222', 'pool1-0:2222', 'pool1-1:2222')
    assert cluster == Cluster(place, addresses)
    assert (cluster.count, cluster.is_chief) == (3, place == 0)
    assert json.loads(cluster.to_tf_config()) == {
        'cluster': {'worker': list(addresses)},
        'task': {'type': 'worker', 'index': place},
    }
