"""Paths that flags of the commands give: a wrong one is an error with its flag, and at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.running import ROOT

FLAGS = {
    'serving.gateway': {
        'file': ['target_ca', 'tls_cert', 'tls_key', 'api_keys'],
        'folder': ['network', 'manifest', 'index'],
    },
    'serving.web': {'file': ['tls_cert', 'tls_key', 'api_key_file'], 'folder': []},
    'serving.model_server': {
        'file': [
            'model_config_file', 'batching_parameters_file', 'monitoring_config_file',
            'ssl_config_file', 'digests_key',
        ],
        'folder': [],
    },
    'serving.query': {
        'file': ['image', 'ca_file', 'certificate_file', 'key_file', 'token_file'],
        'folder': [],
    },
    'serving.convert': {'file': [], 'folder': ['model', 'data']},
    'serving.measure': {'file': [], 'folder': ['model', 'data']},
    'serving.index': {'file': [], 'folder': ['model', 'data']},
    'serving.demo': {'file': [], 'folder': ['model', 'data', 'index']},
}  # fmt: skip
PARSE = """
import importlib, sys
from absl import flags
importlib.import_module(sys.argv[1] + '.__main__')
for argument in sys.argv[2:]:
    name, value = argument.split('=')
    try:
        flags.FLAGS[name].parser.parse(value)
    except ValueError as error:
        print(f'--{name} {error}')
print('tensorflow' in sys.modules)
"""


@pytest.mark.parametrize('module', FLAGS)
def test_a_path_that_is_not_there_or_not_of_its_kind_is_named(module: str, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    (tmp_path / 'folder').mkdir()
    arguments, messages = [], []
    for kind, names in FLAGS[module].items():
        other = {'file': 'folder', 'folder': 'file'}[kind]
        for name in names:
            arguments += [f'{name}={tmp_path}/none', f'{name}={tmp_path}/{other}']
            messages += [
                f"--{name} must be an existing {kind}, got '{tmp_path}/none'; check the path",
                f"--{name} must be a {kind}, got the {other} '{tmp_path}/{other}'",
            ]
    done = subprocess.run(
        [sys.executable, '-c', PARSE, module, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [*messages, 'False'], done.stderr


def _run(module: str, *flags: str) -> str:
    done = subprocess.run(
        [sys.executable, '-m', module, *flags], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.count('\n') == 1
    return done.stderr


def test_what_a_path_holds_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / 'no.pem').write_text('no certificate')
    (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
    pem, folder = f'{tmp_path}/no.pem', str(tmp_path)
    pair = '--tls_cert and --tls_key must be PEM files of one certificate, without a password'
    gateway = ['--target=127.0.0.1:1', '--port=0']
    page = ['--gateway=http://127.0.0.1:1', '--port=8090']
    for module, flags, message in [
        ('serving.gateway', [*gateway, f'--tls_cert={pem}', f'--tls_key={pem}'], pair),
        ('serving.gateway', [*gateway, f'--network={folder}'], 'it has no network.json'),
        ('serving.web', [*page, f'--tls_cert={pem}', f'--tls_key={pem}'], pair),
        ('serving.web', [*page, f'--api_key_file={tmp_path}/binary'], 'key of printable ASCII'),
        ('serving.measure', [f'--model={folder}'], 'it has no saved_model.pb'),
    ]:
        assert message in _run(module, *flags)
