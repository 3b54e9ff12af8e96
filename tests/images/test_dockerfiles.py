"""The Dockerfiles agree with setup.py, constraints.txt and the command lines. They are built by
`make test-images`."""

import ast
import fnmatch
import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.images.dockerfiles import (
    NAMES,
    ROOT,
    defaults,
    extras,
    instructions,
    normalize,
    packages,
    pins,
    setup,
    values,
)

AS_ROOT = {'beam', 'predict', 'train_tpu'}
SERVERS = {
    'serving_gateway': ('serving/gateway/__main__.py', ['port']),
    'web': ('serving/web/__main__.py', ['port']),
}


def test_the_images_are_those_of_the_docs() -> None:
    docs = (ROOT / 'docs' / 'images.md').read_text().partition('## ')[0]
    assert set(NAMES) == set(re.findall(r'^\| `(\w+)` \|', docs, flags=re.MULTILINE))


@pytest.mark.parametrize('name', NAMES)
def test_each_image_installs_extras_of_setup_py(name: str) -> None:
    assert set(extras(name)) <= set(setup().extras_require)


@pytest.mark.parametrize('name', ['beam', 'predict', 'train', 'train_tpu'])
def test_jobs_and_trainers_can_reach_buckets_of_any_kind(name: str) -> None:
    assert 'buckets' in extras(name)


@pytest.mark.parametrize('name', [name for name in NAMES if name != 'train_tpu'])
def test_constraints_pin_every_package_of_an_image(name: str) -> None:
    assert len(packages(name)) > 30
    assert not packages(name) - set(pins())


@pytest.mark.parametrize('name', ['beam', 'serving_gateway', 'web'])
def test_light_images_have_no_tensorflow(name: str) -> None:
    assert not {one for one in packages(name) if one.startswith(('tensorflow', 'keras', 'nvidia'))}


def test_only_the_page_has_streamlit_and_only_jobs_have_beam() -> None:
    installed = {name: packages(name) for name in NAMES if name != 'train_tpu'}
    with_streamlit = {name for name in installed if 'streamlit' in installed[name]}
    with_beam = {name for name in installed if 'apache-beam' in installed[name]}
    assert with_streamlit == {'web'}
    assert with_beam == {'beam', 'predict'}


def test_cuda_is_pinned_for_the_trainer_on_gpus() -> None:
    assert 'tensorflow[and-cuda]' in setup().extras_require['train-gpu']
    cuda = {
        normalize(Requirement(line).name)
        for line in metadata.requires('tensorflow') or []
        if 'and-cuda' in line
    }
    assert len(cuda) >= 10
    assert not cuda - set(pins())


def test_tensorflow_for_tpus_is_pinned_with_its_tensorboard() -> None:
    tpu = pins('docker/constraints_tpu.txt')
    assert set(tpu) == {'libtpu', 'tensorboard', 'tensorflow-tpu'}
    assert tpu['tensorflow-tpu'].rpartition('.')[0] == tpu['tensorboard'].rpartition('.')[0]
    needed = setup().extras_require['train-tpu']
    assert 'tensorflow' not in needed
    assert set(needed) - {'tensorflow-tpu'} <= set(setup().extras_require['train'])
    left = set(needed) - set(pins()) - {'tensorflow-tpu'}
    assert {normalize(name) for name in left} <= set(pins())


@pytest.mark.parametrize('name', ['beam', 'predict'])
def test_the_sdk_of_beam_has_the_version_of_the_package(name: str) -> None:
    image, _, tag = defaults(name)['BEAM_IMAGE'].partition(':')
    assert tag == pins()['apache-beam']
    assert image == 'apache/beam_python3.11_sdk'
    assert 'python311' in defaults(name)['LAUNCHER_IMAGE']


@pytest.mark.parametrize('name', NAMES)
def test_every_image_starts_from_a_tag_of_the_python_of_setup_py(name: str) -> None:
    assert defaults(name)['PYTHON_IMAGE'] == 'python:3.11-slim-bookworm'
    assert SpecifierSet(setup().python_requires).contains('3.11.9')


@pytest.mark.parametrize('name', NAMES)
def test_images_run_as_a_user_without_rights_unless_the_platform_needs_root(name: str) -> None:
    assert values(name, 'USER') == ['0' if name in AS_ROOT else '10001']


@pytest.mark.parametrize('name', NAMES)
def test_requirements_are_installed_before_the_code_is_copied(name: str) -> None:
    text = (ROOT / f'docker/{name}.Dockerfile').read_text()
    assert text.index('--constraint constraints.txt') < text.index('COPY catalog')
    assert text.index('COPY catalog') < text.index('ARG REVISION')


@pytest.mark.parametrize('name', NAMES)
def test_the_context_has_what_is_copied(name: str) -> None:
    allowed = [
        line[1:] for line in (ROOT / '.dockerignore').read_text().splitlines() if line[:1] == '!'
    ]
    for value in values(name, 'COPY'):
        if value.startswith('--from'):
            continue
        for source in value.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(fnmatch.fnmatch(source.split('/')[0], pattern) for pattern in allowed)


@pytest.mark.parametrize('name', NAMES)
def test_labels_describe_the_image(name: str) -> None:
    labels = dict(re.findall(r'(\S+)="([^"]*)"', values(name, 'LABEL')[0]))
    prefix = 'org.opencontainers.image.'
    assert labels[f'{prefix}title'] == f'product-categories-{name.replace("_", "-")}'
    assert labels[f'{prefix}licenses'] == setup().metadata.license
    assert labels[f'{prefix}base.name'] == f'docker.io/library/{defaults(name)["PYTHON_IMAGE"]}'
    assert labels[f'{prefix}revision'] == '${REVISION}'
    assert labels[f'{prefix}description']


@pytest.mark.parametrize('name', SERVERS)
def test_servers_publish_and_check_the_default_port_of_their_command(name: str) -> None:
    file, _ = SERVERS[name]
    [port] = [
        node.args[1].value
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.Call)
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value == 'port'
    ]
    assert values(name, 'EXPOSE') == [str(port)]
    assert f'http://127.0.0.1:{port}/' in values(name, 'HEALTHCHECK')[0]
    assert '--host=0.0.0.0' in values(name, 'ENTRYPOINT')[0]


def test_the_images_with_tensorflow_share_its_layer() -> None:
    starts = set()
    for name in ('train', 'predict', 'model_server'):
        lines = instructions(name)
        last = next(i for i, (_, value) in enumerate(lines) if value.endswith(' tensorflow'))
        first = lines.index(('FROM', '${PYTHON_IMAGE}'))
        starts.add(tuple(lines[first : last + 1]))
    assert len(starts) == 1
