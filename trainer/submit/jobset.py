"""The JobSet of Kubernetes for a training: https://jobset.sigs.k8s.io. Sends nothing.

One Job whose pods are the hosts. A pod that fails ends the Job, and the JobSet starts all pods
again, which resume together; after a user's mistake (exit code 2) it gives up.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from catalog.command_line import USER_ERROR_EXIT_CODE
from catalog.errors import UserError
from trainer.distribution.cluster import VARIABLE
from trainer.submit.training_job import COMMAND, TrainingJob

_JOB = 'worker'
_PORT = 2222
_SHARED_MEMORY = '/dev/shm'  # noqa: S108  # nosec B108
_MOST_RESTARTS = 100  # Spot hosts come and go
_SAVE_SECONDS = 120  # from SIGTERM to SIGKILL, to save a checkpoint
_INDEX_ANNOTATION = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
_LABEL_KEY = re.compile(r'([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?\w([-\w.]{0,61}\w)?', re.ASCII)
_LABEL_VALUE = re.compile(r'(\w([-\w.]{0,61}\w)?)?', re.ASCII)


def to_yaml(job: TrainingJob, *, labels: Mapping[str, str], service_account: str = '') -> str:
    """Returns the manifest of a training, for `kubectl apply -f -`.

    Args:
      job: The training.
      labels: Labels of the JobSet.
      service_account: Service account of Kubernetes that the pods act as; empty for the default.

    Raises:
      UserError: If the config or a label is invalid.
    """
    for key, value in labels.items():
        if not (_LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value)):
            raise UserError(f'--labels must be labels of Kubernetes, got {key}={value}')
    _ = job.config  # checks it
    pod = _build_pod(job)
    if service_account:
        pod['serviceAccountName'] = service_account
    manifest = {
        'apiVersion': 'jobset.x-k8s.io/v1alpha2',
        'kind': 'JobSet',
        'metadata': {'name': job.name} | ({'labels': dict(labels)} if labels else {}),
        'spec': {
            'failurePolicy': {
                'maxRestarts': _MOST_RESTARTS,
                'rules': [
                    {
                        'name': 'usererror',
                        'action': 'FailJobSet',
                        'onJobFailureReasons': ['PodFailurePolicy'],
                    }
                ],
            },
            'replicatedJobs': [
                {'name': _JOB, 'replicas': 1, 'template': {'spec': _build_spec(job, pod)}}
            ],
        },
    }
    text: str = yaml.safe_dump(manifest, sort_keys=False, width=1000)
    return text


def _build_spec(job: TrainingJob, pod: dict[str, Any]) -> dict[str, Any]:
    exit_codes = {'operator': 'In', 'values': [USER_ERROR_EXIT_CODE]}
    return {
        'completionMode': 'Indexed',
        'completions': job.hosts,
        'parallelism': job.hosts,
        'backoffLimit': 0,
        'podFailurePolicy': {'rules': [{'action': 'FailJob', 'onExitCodes': exit_codes}]},
        'template': {'spec': pod},
    }


def _build_pod(job: TrainingJob) -> dict[str, Any]:
    machine = job.machine
    container: dict[str, Any] = {
        'name': 'train',
        'image': job.image,
        'command': [*COMMAND, *job.arguments],
        # GPUs exchange gradients through it; the default of 64 MiB is too small.
        'volumeMounts': [{'name': 'shared-memory', 'mountPath': _SHARED_MEMORY}],
    }
    if machine.devices:
        resource = 'google.com/tpu' if machine.is_tpu else 'nvidia.com/gpu'
        container['resources'] = {'limits': {resource: machine.devices}}
    if job.hosts > 1:
        container['ports'] = [{'containerPort': _PORT}]
        container['env'] = _build_environment(job)
    pod: dict[str, Any] = {
        'restartPolicy': 'Never',
        'terminationGracePeriodSeconds': _SAVE_SECONDS,
        'containers': [container],
        'volumes': [{'name': 'shared-memory', 'emptyDir': {'medium': 'Memory'}}],
    }
    if selector := _node_selector(job):
        pod['nodeSelector'] = selector
    if tolerations := _tolerations(job):
        pod['tolerations'] = tolerations
    return pod


def _build_environment(job: TrainingJob) -> list[dict[str, Any]]:
    """Returns TF_CONFIG, in which Kubernetes replaces `$(INDEX)`, defined before it."""
    addresses = [f'{job.name}-{_JOB}-0-{index}.{job.name}:{_PORT}' for index in range(job.hosts)]
    index = '$(INDEX)'
    task = f'{{"type": "worker", "index": {index}}}'
    config = f'{{"cluster": {{"worker": {json.dumps(addresses)}}}, "task": {task}}}'
    return [
        {'name': 'INDEX', 'valueFrom': {'fieldRef': {'fieldPath': _INDEX_ANNOTATION}}},
        {'name': VARIABLE, 'value': config},
    ]


def _node_selector(job: TrainingJob) -> dict[str, str]:
    machine = job.machine
    selector = {}
    if machine.is_tpu:
        selector['cloud.google.com/gke-tpu-accelerator'] = machine.node_label
        selector['cloud.google.com/gke-tpu-topology'] = machine.topology
    elif machine.devices:
        selector['cloud.google.com/gke-accelerator'] = machine.node_label
    if job.spot:
        selector['cloud.google.com/gke-spot'] = 'true'
    return selector


def _tolerations(job: TrainingJob) -> list[dict[str, str]]:
    keys = []
    if job.machine.devices:
        keys.append('google.com/tpu' if job.machine.is_tpu else 'nvidia.com/gpu')
    if job.spot:
        keys.append('cloud.google.com/gke-spot')
    return [{'key': key, 'operator': 'Exists', 'effect': 'NoSchedule'} for key in keys]
