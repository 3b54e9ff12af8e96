"""TensorFlow Serving's config files become values; what is not offered is refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import UserError
from serving.config import batching, models, monitoring, policies, tls
from serving.config.batching import Batching
from serving.config.models import ModelConfig
from serving.config.policies import All, Latest, Specific

BASE = 'base_path: "/tmp" model_platform: "tensorflow"'


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    def call(text: str) -> str:
        path = tmp_path / 'file.config'
        path.write_text(text)
        return str(path)

    return call


def models_text(*configs: str) -> str:
    return 'model_config_list {' + ''.join(f'config {{ {text} }}' for text in configs) + '}'


def test_models_have_policies_and_labels(write: Callable[[str], str]) -> None:
    path = write(
        models_text(
            f'name: "a" {BASE}',
            f'name: "b" {BASE} model_version_policy {{ latest {{ num_versions: 3 }} }}',
            f'name: "c" {BASE} model_version_policy: {{ all: {{}} }}',
            f'name: "d" {BASE} model_version_policy {{ specific {{ versions: 7 versions: 9 }} }}'
            ' version_labels { key: "stable" value: 7 } version_labels { key: "canary" value: 9 }',
            'name: "e" base_path: "gs://bucket/e" model_type: TENSORFLOW',
        )
    )
    assert models.read(path) == [
        ModelConfig('a', '/tmp', Latest(1)),
        ModelConfig('b', '/tmp', Latest(3)),
        ModelConfig('c', '/tmp', All()),
        ModelConfig('d', '/tmp', Specific(frozenset({7, 9})), {'stable': 7, 'canary': 9}),
        ModelConfig('e', 'gs://bucket/e', Latest(1)),
    ]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('model_config_list {', 'must be the text of a ModelServerConfig message: 1:19'),
        ('model_list {}', 'has no field named "model_list"'),
        ('', 'must have at least one config, got none'),
        ('custom_model_config {}', 'does not offer custom_model_config; remove it'),
        (models_text(f'{BASE}'), 'a model must have a name'),
        (models_text(f'name: "a" {BASE}', f'name: "a" {BASE}'), 'list model a multiple times'),
        (models_text(f'name: "a" {BASE} logging_config {{}}'), 'model a: .* offer logging_config'),
        (models_text('name: "a" base_path: "/tmp"'), "model_platform must be 'tensorflow', got ''"),
        (
            models_text('name: "a" base_path: "/tmp" model_platform: "tflite"'),
            "model_platform must be 'tensorflow', got 'tflite'",
        ),
        (
            models_text(f'name: "a" {BASE} model_type: TENSORFLOW'),
            'only one of model_type',
        ),
        (
            models_text('name: "a" base_path: "models" model_platform: "tensorflow"'),
            "base_path must be an absolute path or begin with gs://, got 'models'",
        ),
        (
            models_text('name: "a" base_path: "/none" model_platform: "tensorflow"'),
            "base_path must be a folder, got '/none'",
        ),
        (
            models_text(f'name: "a" {BASE} model_version_policy {{ specific {{}} }}'),
            'specific must have at least one of versions',
        ),
    ],
)
def test_an_invalid_models_file_is_refused(
    write: Callable[[str], str], text: str, message: str
) -> None:
    path = write(text)
    with pytest.raises(UserError, match=message) as caught:
        models.read(path)
    assert str(caught.value).startswith(path)


def test_policies_select_versions_highest_first() -> None:
    folders = [3, 20, 100]
    assert policies.select(Latest(), folders) == [100]
    assert policies.select(Latest(2), folders) == [100, 20]
    assert policies.select(All(), folders) == [100, 20, 3]
    assert policies.select(Specific(frozenset({3, 4})), folders) == [3]
    assert policies.select(Latest(), []) == []


def test_batching_parameters_left_out_keep_tensorflow_servings_defaults(
    write: Callable[[str], str],
) -> None:
    text = (
        'max_batch_size { value: 64 } batch_timeout_micros { value: 2000 } '
        'max_enqueued_batches { value: 5 } num_batch_threads { value: 3 } '
        'thread_pool_name { value: "mine" }'
    )
    read = batching.read(write(text))
    assert read == Batching(64, max_enqueued_batches=5, threads=3, thread_pool_name='mine')
    assert read.capacity == 320
    default = batching.read(write(''))
    assert (default.max_batch_size, default.max_enqueued_batches) == (1000, 10)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('max_batch_size { value: 0 }', 'max_batch_size must be at least 1, got 0'),
        ('num_batch_threads { value: -1 }', 'num_batch_threads must be at least 1, got -1'),
        ('batch_timeout_micros { value: -1 }', 'batch_timeout_micros must not be negative'),
        ('allowed_batch_sizes: 8', 'does not offer allowed_batch_sizes'),
        ('pad_variable_length_inputs: true', 'does not offer pad_variable_length_inputs'),
        ('max_batch_size: 8', 'must be the text of a BatchingParameters message'),
    ],
)
def test_an_invalid_batching_file_is_refused(
    write: Callable[[str], str], text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        batching.read(write(text))


def test_metrics_have_a_path_where_they_are_enabled(write: Callable[[str], str]) -> None:
    text = 'prometheus_config { enable: true path: "/metrics" }'
    assert monitoring.read(write(text)) == '/metrics'
    default = monitoring.read(write('prometheus_config { enable: true }'))
    assert default == '/monitoring/prometheus/metrics'
    assert monitoring.read(write('prometheus_config { path: "/metrics" }')) is None
    for path in ('metrics', '/v1/models'):
        with pytest.raises(UserError, match='path must begin with / and not with /v1/'):
            monitoring.read(write(f'prometheus_config {{ enable: true path: "{path}" }}'))


@pytest.mark.parametrize('read', [models.read, batching.read, monitoring.read, tls.read])
def test_a_file_that_does_not_exist_is_named(read: Callable[[str], Any]) -> None:
    with pytest.raises(UserError, match='/none: must be a file, got none'):
        read('/none')
