"""The JobSet of Kubernetes."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from catalog.errors import UserError
from tests.trainer.submit.jobs import training_job
from trainer.submit import jobset
from trainer.submit.machines import MACHINES


def test_each_pod_of_a_jobset_gets_its_place_in_the_cluster() -> None:
    text = jobset.to_yaml(
        training_job('l4x8', hosts=2, spot=True), labels={}, service_account='trainer'
    )
    document = yaml.safe_load(text)
    (replicated,) = document['spec']['replicatedJobs']
    job = replicated['template']['spec']
    assert (job['completionMode'], job['completions'], job['parallelism']) == ('Indexed', 2, 2)
    pod = job['template']['spec']
    (container,) = pod['containers']
    index, config = container['env']
    annotation = index['valueFrom']['fieldRef']['fieldPath']
    assert annotation == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert config['name'] == 'TF_CONFIG'
    assert json.loads(config['value'].replace(f'$({index["name"]})', '1')) == {
        'cluster': {'worker': [f'shop-worker-0-{number}.shop:2222' for number in range(2)]},
        'task': {'type': 'worker', 'index': 1},
    }
    assert '--config.strategy=multi_worker' in container['command']
    assert container['resources'] == {'limits': {'nvidia.com/gpu': 8}}
    assert pod['serviceAccountName'] == 'trainer'
    assert pod['nodeSelector'] == {
        'cloud.google.com/gke-accelerator': 'nvidia-l4',
        'cloud.google.com/gke-spot': 'true',
    }


def test_one_host_needs_no_cluster() -> None:
    text = jobset.to_yaml(training_job('v5ex8'), labels={'kueue.x-k8s.io/queue-name': 'tpu'})
    document = yaml.safe_load(text)
    assert document['metadata'] == {
        'name': 'shop',
        'labels': {'kueue.x-k8s.io/queue-name': 'tpu'},
    }
    pod = document['spec']['replicatedJobs'][0]['template']['spec']['template']['spec']
    assert 'env' not in pod['containers'][0]
    assert pod['containers'][0]['resources'] == {'limits': {'google.com/tpu': 8}}
    assert pod['nodeSelector']['cloud.google.com/gke-tpu-topology'] == '2x4'


def test_an_invalid_label_is_an_error() -> None:
    with pytest.raises(UserError, match='--labels must be labels of Kubernetes, got a b=c'):
        jobset.to_yaml(training_job('l4'), labels={'a b': 'c'})


def _closed(schema: Any) -> Any:
    """A structural schema of Kubernetes in which unknown fields are errors, as in its server."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items() if name[:2] != 'x-'}
    if schema.get('x-kubernetes-int-or-string'):
        closed.pop('type', None)
        closed['anyOf'] = [{'type': 'integer'}, {'type': 'string'}]
    if isinstance(schema.get('properties'), dict) and schema.get('type') == 'object':
        closed.setdefault('additionalProperties', False)
    return closed


@pytest.mark.skipif(
    not os.environ.get('JOBSET_CRD'),
    reason="needs the file config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml of JobSet's "
    'repository, named by $JOBSET_CRD',
)
@pytest.mark.parametrize('machine', MACHINES)
def test_a_jobset_is_valid_by_the_schema_of_its_resource(machine: str) -> None:
    definition = yaml.safe_load(Path(os.environ['JOBSET_CRD']).read_text())
    (version,) = definition['spec']['versions']
    schema = _closed(version['schema']['openAPIV3Schema'])
    schema['properties']['metadata'] = {'type': 'object'}
    validator = jsonschema.Draft7Validator(schema)
    for hosts in {1, 1 if MACHINES[machine].is_tpu else 2}:
        text = jobset.to_yaml(
            training_job(machine, hosts=hosts, spot=True),
            labels={'a': 'b'},
            service_account='trainer',
        )
        document = yaml.safe_load(text)
        assert [error.message for error in validator.iter_errors(document)] == []
        document['spec']['replicatedJobs'][0]['template']['spec']['backofLimit'] = 0
        assert any('backofLimit' in error.message for error in validator.iter_errors(document))
