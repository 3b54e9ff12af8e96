"""The files for the official image parse as the messages that the server reads."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.config import batching, monitoring
from serving.config.messages import BatchingParameters
from tests.serving.running import ROOT

FOLDER = ROOT / 'serving' / 'tf_serving'


def parse(file: str, message: Any) -> Any:
    return text_format.Parse((FOLDER / file).read_text(), message)


def test_the_model_has_the_default_name_of_the_command_lines() -> None:
    config = parse('models.config', model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert model.name == 'product_categories'
    for module in ('serving.query', 'serving.model_server'):
        done = subprocess.run(
            [sys.executable, '-m', module, '--help'], cwd=ROOT, capture_output=True, text=True
        )
        assert f"(default: '{model.name}')" in done.stdout
    assert model.base_path == f'/models/{model.name}'
    assert model.model_platform == 'tensorflow'
    assert model.model_version_policy.latest.num_versions == 1


def test_the_batching_parameters_are_read_as_written() -> None:
    path = str(FOLDER / 'batching_parameters.txt')
    parameters = batching.read(path)
    assert parameters.max_batch_size == 64
    assert parameters.max_enqueued_batches == 64
    assert parameters.threads >= 1
    assert parse('batching_parameters.txt', BatchingParameters()).batch_timeout_micros.value == 2000


def test_prometheus_metrics_are_enabled() -> None:
    assert monitoring.read(str(FOLDER / 'monitoring.config')) == '/monitoring/prometheus/metrics'


def test_the_readme_names_every_file() -> None:
    readme = (FOLDER / 'README.md').read_text()
    files = {path.name for path in Path(FOLDER).iterdir()} - {'README.md'}
    assert files == {
        *('models.config', 'monitoring.config', 'batching_parameters.txt'),
        *('kustomization.yaml', 'kubernetes'),
    }
    assert all(f'`{file}`' in readme for file in files)


def test_every_docker_command_publishes_on_this_machine_only_and_pins_its_image() -> None:
    documents = [*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), *ROOT.glob('serving/**/*.md')]
    text = '\n'.join(path.read_text().replace('\\\n', ' ') for path in documents)
    commands = re.findall(r'docker run .*', text)
    assert len(commands) >= 1
    for command in commands:
        ports = re.findall(r'-p (\S+)', command)
        assert ports
        assert all(port.startswith('127.0.0.1:') for port in ports)
        assert 'tensorflow/serving:2.20.0 ' in command
