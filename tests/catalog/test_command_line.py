import subprocess
import sys

import pytest

COMMANDS = [
    'beam_pipelines.shard',
    'catalog.samples',
    'serving.model_server',
    'serving.query',
    'trainer.ensemble',
    'trainer.evaluate',
    'trainer.export',
    'trainer.features',
    'trainer.lite0_weights',
    'trainer.predict',
    'trainer.summary',
    'trainer.task',
    'trainer.tau_norm',
    'trainer.tune',
]


def run_command(module: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-m', module, *arguments], capture_output=True, text=True
    )


@pytest.mark.parametrize('module', COMMANDS)
def test_help_shows_examples_and_exits_with_0(module):
    done = run_command(module, '--help')
    assert done.returncode == 0, done.stderr
    assert f'python -m {module} ' in done.stdout
    assert '\nflags:\n' in done.stdout
    assert not done.stderr


@pytest.mark.parametrize('module', COMMANDS)
def test_an_unknown_flag_is_an_error_in_one_line(module):
    done = run_command(module, '--no_such_flag=1')
    assert done.returncode == 2
    assert done.stderr.startswith('error: ')
    assert done.stderr.count('\n') == 1
    assert not done.stdout
