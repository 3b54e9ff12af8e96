"""Compose and Kubernetes start the image with the flags and files of this folder."""

from pathlib import Path
from typing import Any

import yaml
from absl import flags

from serving.model_server import __main__ as model_server  # defines the flags
from tests.serving.running import ROOT

FOLDER = ROOT / 'serving' / 'tf_serving'


def objects() -> dict[str, Any]:
    """The objects that kustomize applies, by kind."""
    listed = yaml.safe_load((FOLDER / 'kustomization.yaml').read_text())['resources']
    found = {}
    for file in listed:
        for one in yaml.safe_load_all((FOLDER / file).read_text()):
            found[one['kind']] = one
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob('kubernetes/*.yaml')}
    assert files == set(listed)
    return found


def container() -> dict[str, Any]:
    [only] = objects()['Deployment']['spec']['template']['spec']['containers']
    return only


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / 'compose.yaml').read_text())['services']['tf-serving']


def test_compose_and_kubernetes_start_the_same_image_with_the_same_flags() -> None:
    assert container()['args'] == compose()['command']
    assert container()['image'] == compose()['image'] == 'tensorflow/serving:2.20.0'
    assert model_server.__name__
    for flag in container()['args']:
        assert flag.removeprefix('--').partition('=')[0] in flags.FLAGS


def test_each_file_that_a_flag_names_is_mounted() -> None:
    kustomization = yaml.safe_load((FOLDER / 'kustomization.yaml').read_text())
    [config] = kustomization['configMapGenerator']
    named = [Path(flag.partition('=')[2]) for flag in container()['args'] if '/config/' in flag]
    assert [path.name for path in named] == config['files']
    assert all((FOLDER / path.name).is_file() for path in named)
    volumes = objects()['Deployment']['spec']['template']['spec']['volumes']
    maps = [volume['configMap']['name'] for volume in volumes if 'configMap' in volume]
    assert maps == [config['name']]


def test_every_object_selects_the_pods_of_the_deployment() -> None:
    found = objects()
    labels = found['Deployment']['spec']['template']['metadata']['labels']
    assert found['Deployment']['spec']['selector']['matchLabels'] == labels
    assert found['Service']['spec']['selector'] == labels
    assert found['PodDisruptionBudget']['spec']['selector']['matchLabels'] == labels
    assert found['NetworkPolicy']['spec']['podSelector']['matchLabels'] == labels
    scaled = found['HorizontalPodAutoscaler']['spec']['scaleTargetRef']
    assert (scaled['kind'], scaled['name']) == ('Deployment', 'tf-serving')


def test_probes_ask_for_the_health_over_grpc_and_the_grace_period_covers_the_pre_stop() -> None:
    for probe in ('startupProbe', 'readinessProbe', 'livenessProbe'):
        assert container()[probe]['grpc']['port'] == 8500
    pause = int(container()['lifecycle']['preStop']['exec']['command'][1])
    grace = objects()['Deployment']['spec']['template']['spec']['terminationGracePeriodSeconds']
    assert grace >= pause + 20
