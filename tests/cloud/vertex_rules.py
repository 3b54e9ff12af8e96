"""The documented rules of Vertex AI for a job, as far as a training of this repository meets them.

https://cloud.google.com/vertex-ai/docs/training/configure-compute and the comments of the protos.
"""

import re

from google.cloud.aiplatform_v1.types import CustomJobSpec, MachineSpec

_GPUS = {  # machine type -> GPU, numbers
    r'n1-.*': ('NVIDIA_TESLA_T4', {1, 2, 4}),
    r'g2-standard-(4|8|12|16|32)': ('NVIDIA_L4', {1}),
    r'g2-standard-96': ('NVIDIA_L4', {8}),
    r'a2-highgpu-1g': ('NVIDIA_TESLA_A100', {1}),
    r'a2-highgpu-8g': ('NVIDIA_TESLA_A100', {8}),
    r'a3-highgpu-8g': ('NVIDIA_H100_80GB', {8}),
}
_TOPOLOGIES = {
    'ct5lp-hightpu-1t': {'1x1'},
    'ct5lp-hightpu-4t': {'2x2', '2x4', '4x4', '4x8', '8x8', '8x16', '16x16'},
    'ct5lp-hightpu-8t': {'2x4'},
}


class Refused(Exception):
    """A job that Vertex AI would refuse, with the reason."""


def check(spec: CustomJobSpec) -> None:
    """Raises `Refused` for the first rule that is broken."""
    pools = spec.worker_pool_specs
    _require(1 <= len(pools) <= 4, 'job_spec.worker_pool_specs: one to four are required')
    _require(pools[0].replica_count == 1, 'worker_pool_specs[0].replica_count must be 1')
    for pool in pools:
        _require(bool(pool.container_spec.image_uri), 'container_spec.image_uri is required')
        _check_machine(pool.machine_spec)
    if spec.tensorboard:
        prefix = spec.base_output_directory.output_uri_prefix
        _require(bool(spec.service_account), 'service_account is required with tensorboard')
        _require(bool(prefix), 'base_output_directory is required with tensorboard')


def _check_machine(machine: MachineSpec) -> None:
    kind = machine.machine_type
    _require(bool(kind), 'machine_spec.machine_type is required')
    if kind in _TOPOLOGIES:
        known = machine.tpu_topology in _TOPOLOGIES[kind]
        _require(known, f'tpu_topology {machine.tpu_topology!r} is not one of {kind}')
        _require(not machine.accelerator_type, f'{kind} takes no accelerator_type')
    elif machine.accelerator_count:
        rules = [rule for pattern, rule in _GPUS.items() if re.fullmatch(pattern, kind)]
        gpu, counts = rules[0] if rules else ('', set[int]())
        suits = machine.accelerator_type.name == gpu and machine.accelerator_count in counts
        given = f'{machine.accelerator_count} {machine.accelerator_type.name}'
        _require(suits, f'{kind} does not support {given}')


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise Refused(rule)
