import os
import subprocess
import sys

import pytest

from catalog import command_line

COMMANDS = [
    'beam_pipelines.predict',
    'beam_pipelines.shard',
    'catalog.samples',
    'serving.model_server',
    'serving.query',
    'trainer.ensemble',
    'trainer.evaluate',
    'trainer.export',
    'trainer.features',
    'trainer.lite0_weights',
    'trainer.lite_weights',
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


def test_help_marks_required_flags():
    done = run_command('trainer.evaluate', '--help')
    text = ' '.join(done.stdout.split())
    assert '--data: Folder of the data set. Required. (a path)' in text
    assert '--split: Split to evaluate on. (default' in text


@pytest.mark.parametrize('flush', [True, False])
def test_output_that_nobody_reads_ends_a_command_in_silence(flush: bool) -> None:
    code = (
        'from catalog import command_line\n'
        'def main(argv):\n'
        f'    for line in range(100_000): print(line, flush={flush})\n'
        'command_line.run(main)'
    )
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == '0\n'
        process.stdout.close()
        assert process.stderr.read() == ''
    assert process.returncode == 141


def test_help_in_a_pipe_that_is_closed_is_no_error():
    program = f'{sys.executable} -m catalog.samples --help | true; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(['bash', '-c', program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('0\n', '')


PATH_FLAGS = {
    'beam_pipelines.predict': ['model', 'input', 'output'],
    'beam_pipelines.shard': ['input', 'categories', 'output'],
    'catalog.samples': ['output'],
    'serving.model_server': ['model_base_path'],
    'serving.query': ['image', 'json'],
    'trainer.ensemble': ['workdirs', 'data', 'output'],
    'trainer.evaluate': ['workdir', 'data', 'output'],
    'trainer.export': ['workdir', 'output', 'target_prior'],
    'trainer.features': ['workdir', 'config', 'data', 'output'],
    'trainer.lite0_weights': ['input', 'output'],
    'trainer.lite_weights': ['input', 'output'],
    'trainer.predict': ['model', 'input', 'output'],
    'trainer.summary': ['data', 'workdir', 'export', 'answers', 'output'],
    'trainer.task': ['config', 'data', 'workdir'],
    'trainer.tau_norm': ['workdir', 'data', 'output'],
    'trainer.tune': ['config', 'space', 'data', 'output'],
}
PARSE = """
import importlib, importlib.util, sys
from absl import flags
module = sys.argv[1]
is_package = importlib.util.find_spec(module).submodule_search_locations
importlib.import_module(module + '.__main__' if is_package else module)
for argument in sys.argv[2:]:
    name, value = argument.split('=')
    try:
        parsed = flags.FLAGS[name].parser.parse(value)
        print(parsed if isinstance(parsed, str) else parsed[0])
    except ValueError as error:
        print('error:', error)
"""


@pytest.mark.parametrize('module', COMMANDS)
def test_path_flags_refuse_empty_values_and_unknown_schemes_and_expand_the_home(module):
    names = PATH_FLAGS[module]
    values = ['', 's5://bucket/x', 's3:/x', 'gs:/bucket/x', '~/x', 'x y']
    arguments = [f'{name}={value}' for name in names for value in values]
    done = subprocess.run(
        [sys.executable, '-c', PARSE, module, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(arguments)
    for row in range(0, len(lines), len(values)):
        empty, s5, s3_once, gs_once, home, plain = lines[row : row + len(values)]
        assert empty.startswith('error: must name a file or folder, got an empty value')
        for line, scheme in [(s5, 's5://'), (s3_once, 's3:/'), (gs_once, 'gs:/')]:
            assert line.startswith('error: must be a local path')
            assert f'got {scheme!r}' in line
        for line, path in [(home, os.path.expanduser('~/x')), (plain, 'x y')]:
            missing = f'error: must be an existing folder, got {path!r}; check the path'
            file = missing.replace('folder', 'file')
            assert line in {path, missing, file}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--outptu=x'], "Unknown command line flag 'outptu' (did you mean 'output'?)"),
        (
            ['--workdir=w', '--data=d', '--output=o', '--tta=flp'],
            "error: --tta must be one of none, flip, got 'flp' (did you mean 'flip'?). --help",
        ),
        (
            ['--workdir=w', '--data=d', '--output='],
            'error: --output must name a file or folder, got an empty value (an unset variable?)',
        ),
        (
            ['--workdir=w', '--data=ftp://b/d', '--output=o'],
            'error: --data must be a local path or begin with gs:// or s3:// or az://, got ',
        ),
        (['--workdir=w'], 'error: --data, --output must be given. --help lists the flags'),
        (
            ['--workdir=w', '--data=d', '--output=o', '--top_k=abc'],
            "error: --top_k must be an integer, got 'abc'. --help lists the flags",
        ),
        (
            ['--workdir=w', '--data=d', '--output=o', '--target_accuracy=high'],
            "error: --target_accuracy must be a number, got 'high'. --help lists the flags",
        ),
    ],
)
def test_a_mistake_names_what_was_meant(arguments, message):
    done = run_command('trainer.evaluate', *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count('\n') == 1


def test_an_address_with_a_password_is_never_shown():
    done = run_command('beam_pipelines.shard', '--input=mongo://me:secret@host/db.c', '--output=o')
    assert done.returncode == 2
    assert 'error: --input must be a local path or begin with gs:// or s3://' in (done.stderr)
    assert 'secret' not in done.stderr


def test_a_path_with_a_comma_is_one_path_if_it_exists(tmp_path):
    (tmp_path / 'a, b').mkdir()
    assert command_line.PATHS.parse(f'{tmp_path}/a, b') == [f'{tmp_path}/a, b']
    assert command_line.PATHS.parse(f'{tmp_path}/a, b/*.bson') == [f'{tmp_path}/a, b/*.bson']
    assert command_line.PATHS.parse('gs://b/x,y z') == ['gs://b/x', 'y z']
    with pytest.raises(ValueError, match='empty value'):
        command_line.PATHS.parse('x,,y')
