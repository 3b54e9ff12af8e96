"""The machines that a training can run on, by name.

The machine types are those of Compute Engine:
https://cloud.google.com/vertex-ai/docs/training/configure-compute and
https://cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """A kind of host.

    Attributes:
      machine_type: Its name in Compute Engine.
      devices: Number of GPUs or of TPU chips; 0 trains on the CPU.
      gpu: Vertex AI's name of the GPU; empty if there is none.
      topology: Arrangement of the TPU chips; empty if there are none.
      node_label: Value of the label that GKE's nodes with these devices have.
    """

    machine_type: str
    devices: int = 0
    gpu: str = ''
    topology: str = ''
    node_label: str = ''

    @property
    def is_tpu(self) -> bool:
        """Whether its devices are TPU chips."""
        return bool(self.topology)


_L4 = {'gpu': 'NVIDIA_L4', 'node_label': 'nvidia-l4'}
_T4 = {'gpu': 'NVIDIA_TESLA_T4', 'node_label': 'nvidia-tesla-t4'}
_A100 = {'gpu': 'NVIDIA_TESLA_A100', 'node_label': 'nvidia-tesla-a100'}
_H100 = {'gpu': 'NVIDIA_H100_80GB', 'node_label': 'nvidia-h100-80gb'}
_V5E = 'tpu-v5-lite-podslice'

MACHINES = {
    'cpu': Machine('n2-standard-8'),
    't4': Machine('n1-standard-8', 1, **_T4),
    't4x4': Machine('n1-standard-32', 4, **_T4),
    'l4': Machine('g2-standard-8', 1, **_L4),
    'l4x8': Machine('g2-standard-96', 8, **_L4),
    'a100': Machine('a2-highgpu-1g', 1, **_A100),
    'a100x8': Machine('a2-highgpu-8g', 8, **_A100),
    'h100x8': Machine('a3-highgpu-8g', 8, **_H100),
    'v5e': Machine('ct5lp-hightpu-1t', 1, topology='1x1', node_label=_V5E),
    'v5ex4': Machine('ct5lp-hightpu-4t', 4, topology='2x2', node_label=_V5E),
    'v5ex8': Machine('ct5lp-hightpu-8t', 8, topology='2x4', node_label=_V5E),
}
