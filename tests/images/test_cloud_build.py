"""cloudbuild.yaml is a build of the API and of the published schema, and leaves out nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf.json_format import ParseError

from tests.images import cloud_build
from tests.images.dockerfiles import NAMES, ROOT, extras, setup

FILE = ROOT / 'cloudbuild.yaml'
ONLY_FOR_COMPOSE = 'model_server'


def steps() -> dict[str, object]:
    return {step.id: step for step in cloud_build.read(FILE).steps}


def changed(folder: Path, old: str, new: str) -> Path:
    text = FILE.read_text()
    assert old in text
    path = folder / 'cloudbuild.yaml'
    path.write_text(text.replace(old, new, 1))
    return path


def test_the_files_have_their_published_schemas() -> None:
    for schema, files in {
        'vendor.cloudbuild': ['cloudbuild.yaml'],
        'vendor.compose-spec': ['compose.yaml', 'compose.stand_in.yaml'],
    }.items():
        done = subprocess.run(
            [sys.executable, '-m', 'check_jsonschema', '--builtin-schema', schema, *files],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('waitFor: [setup]', 'waitfor: [setup]', 'waitfor'),
        ('waitFor: [setup]', 'waitFor: [push]', 'push'),
        ('id: lint', 'id: setup', 'ids'),
        ('${_TAG}', '${_TAGS}', '_TAGS'),
        ('_TAG: dev', '_TAG: dev\n  _OTHER: ""', '_OTHER'),
        ('diskSizeGb: 200', 'diskSizeGb: large', 'large'),
    ],
)
def test_a_mistake_in_the_file_is_found(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises((ParseError, ValueError), match=message):
        cloud_build.read(changed(tmp_path, old, new))


def test_every_image_is_built_pushed_and_listed() -> None:
    build = cloud_build.read(FILE)
    names = set(NAMES) - {ONLY_FOR_COMPOSE}
    values = cloud_build.substitutions(build, {'_TAG': 'v1'})
    repository = 'europe-west1-docker.pkg.dev/my-project/product-categories'
    assert {cloud_build.fill(image, values) for image in build.images} == {
        f'{repository}/{name}:v1' for name in names
    }
    for name in names:
        args = list(steps()[name].args)
        assert f'--file=docker/{name}.Dockerfile' in args
        assert f'--tag=${{_REPOSITORY}}/{name}:${{_TAG}}' in args
    loop = steps()['push'].args[1].splitlines()[0]
    assert set(loop.removeprefix('for image in ').removesuffix('; do').split()) == names


def test_nothing_is_pushed_before_lint_tests_and_all_images() -> None:
    names = set(NAMES) - {ONLY_FOR_COMPOSE}
    assert set(steps()['push'].wait_for) == {'lint', 'test', *names}
    for name in ('template', 'deploy'):
        assert 'push' in steps()[name].wait_for


def test_the_checks_are_those_of_ci() -> None:
    lines = (ROOT / '.ci' / 'run').read_text().splitlines()
    commands = [line for line in lines if line.startswith('make ')]
    built = [steps()[name] for name in ('setup', 'lint', 'test')]
    assert [f'{step.entrypoint} {step.args[0]}' for step in built] == commands


def test_the_trainer_is_built_for_gpus() -> None:
    build = cloud_build.read(FILE)
    assert '--build-arg=EXTRA=${_TRAIN_EXTRA}' in steps()['train'].args
    assert build.substitutions['_TRAIN_EXTRA'] in setup().extras_require
    assert extras('train')[0] == 'train'


def test_without_a_target_nothing_is_deployed(tmp_path: Path) -> None:
    build = cloud_build.read(FILE)
    done = subprocess.run(
        [
            'bash',
            *(
                cloud_build.fill(a, cloud_build.substitutions(build, {}))
                for a in steps()['deploy'].args
            ),
        ],
        capture_output=True,
        text=True,
        env={'PATH': str(tmp_path)},
        executable='/bin/bash',
    )
    assert done.stdout == 'not deployed: _TARGET is empty\n'
    assert done.returncode == 0


def test_compose_builds_the_images_of_this_project() -> None:
    for file in ('compose.yaml', 'compose.stand_in.yaml'):
        for service in yaml.safe_load((ROOT / file).read_text())['services'].values():
            if 'build' in service:
                name = service['image'].partition('/')[2]
                assert service['build'] == {
                    'context': '.',
                    'dockerfile': f'docker/{name}.Dockerfile',
                }
                assert name in NAMES


def test_compose_publishes_on_this_machine_only() -> None:
    services = yaml.safe_load((ROOT / 'compose.yaml').read_text())['services']
    ports = [port for service in services.values() for port in service['ports']]
    assert len(ports) == 4
    assert all(port.startswith('127.0.0.1:') for port in ports)
