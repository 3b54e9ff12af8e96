"""A training to submit: what is trained on which machines, and the config that follows from them.

Knows neither Vertex AI nor Kubernetes.
"""

import os
import re
from dataclasses import dataclass
from functools import cached_property

from catalog.errors import UserError
from trainer.config import TrainConfig, files
from trainer.distribution.batch_division import check_batch
from trainer.submit.machines import Machine

COMMAND = ('python', '-m', 'trainer.task')  # in the image

_NAME = re.compile(r'[a-z]([-a-z0-9]{0,38}[a-z0-9])?')  # with a suffix, a host name has 63 letters


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """A training to submit.

    Attributes:
      name: Its name: lower-case letters, digits and hyphens.
      image: The container image, which contains this repository.
      config_path: The config file, relative to the working directory here and in the image.
      overrides: Overrides of the config as `a.b=value`.
      data: The folder of the shards, on gs://.
      workdir: The folder of the run, on gs://.
      machine: The kind of host.
      hosts: Number of hosts.
      spot: Whether the hosts may be taken away at any time, at a lower price.
    """

    name: str
    image: str
    config_path: str
    overrides: tuple[str, ...] = ()
    data: str
    workdir: str
    machine: Machine
    hosts: int = 1
    spot: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(
                '--name must be at most 40 lower-case letters, digits and hyphens, and begin with '
                f'a letter, got {self.name!r}'
            )
        if not self.image or re.search(r'\s', self.image):
            raise UserError(f'--image must be a container image, got {self.image!r}')
        for flag, path in (('data', self.data), ('workdir', self.workdir)):
            if not path.startswith('gs://'):
                raise UserError(
                    f'--{flag} must begin with gs://, got {path}: the hosts do not see local files'
                )
        if os.path.isabs(self.config_path):
            raise UserError(
                '--config must be a path relative to the working directory, as in the image, got '
                f'{self.config_path}'
            )
        if self.hosts < 1 or (self.hosts > 1 and self.machine.is_tpu):
            rule = 'be 1 for a TPU' if self.machine.is_tpu else 'be at least 1'
            raise UserError(f'--hosts must {rule}, got {self.hosts}')

    @property
    def device_overrides(self) -> dict[str, str]:
        """The fields of the config that follow from the machines."""
        match self.machine.devices:
            case _ if self.machine.is_tpu:
                return {'strategy': 'tpu'}
            case _ if self.hosts > 1:
                return {'strategy': 'multi_worker', 'device': self._device}
            case 0 | 1:
                return {'strategy': 'one_device', 'device': self._device}
            case count:
                return {'strategy': 'mirrored', 'device': 'gpu', 'num_devices': str(count)}

    @property
    def _device(self) -> str:
        return 'gpu' if self.machine.gpu else 'cpu'

    @cached_property
    def config(self) -> TrainConfig:
        """The config of the run.

        Raises:
          UserError: If a value of the config is invalid, does not suit the machines, or the batch
            cannot be divided among the devices.
        """
        config = files.load(self.config_path, self._all_overrides)
        found = files.flat(config)
        for name, value in self.device_overrides.items():
            if str(found[name]) != value:
                raise UserError(
                    f'--config.{name} follows from --machine and --hosts and must be {value}, got '
                    f'{found[name]}; leave it out'
                )
        check_batch(config, replicas=max(self.machine.devices, 1) * self.hosts)
        return config

    @property
    def arguments(self) -> list[str]:
        """The arguments of `trainer.task`."""
        return [
            f'--config={self.config_path}',
            f'--data={self.data}',
            f'--workdir={self.workdir}',
            *(f'--config.{override}' for override in self._all_overrides),
        ]

    @property
    def _all_overrides(self) -> list[str]:
        derived = (f'{name}={value}' for name, value in self.device_overrides.items())
        return [*derived, *self.overrides]
