"""The values that change what a run gives: typed, frozen, checked when made. Reads no file.

Files of them, and overrides: `config_files`. Why pydantic: docs/adr/0003.
"""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from trainer.config import backbones as families
from trainer.config.augment import AugmentConfig
from trainer.config.input import InputConfig, SizeConfig
from trainer.config.loop import BoardConfig, StepConfig, ValidationConfig
from trainer.config.loss import DistillConfig, LossConfig
from trainer.config.model import FusionConfig, ModelConfig, StartConfig
from trainer.config.optimizer import GroupConfig, OptimizerConfig, ScheduleConfig
from trainer.config.ranges import STRICT, Count

__all__ = [
    'AugmentConfig',
    'BoardConfig',
    'DistillConfig',
    'FusionConfig',
    'GroupConfig',
    'InputConfig',
    'LossConfig',
    'ModelConfig',
    'OptimizerConfig',
    'ScheduleConfig',
    'SizeConfig',
    'StartConfig',
    'StepConfig',
    'TrainConfig',
    'ValidationConfig',
]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainConfig:
    """A run.

    Attributes:
      seed: of everything that is drawn.
      batch_size: pictures a step, or products where their views are fused, over all devices.
      total_steps: of the run.
      log_every_steps: a line in metrics.jsonl.
      checkpoint_every_steps: a state to resume from.
      keep_checkpoints: how many of them stay.
      steps_per_call: steps that the device does without asking Python.
      strategy: how the work is spread.
      device: `auto` takes the GPUs, or for `one_device` the processor where there is none.
      num_devices: None takes all there are.
      model, start, distill, input, augment, optimizer, loss, step, validation, board: the parts.
    """

    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    batch_size: Count
    total_steps: Count
    log_every_steps: Count = 100
    checkpoint_every_steps: Count = 1000
    keep_checkpoints: Count = 3
    steps_per_call: Count = 10
    strategy: Literal['one_device', 'mirrored', 'multi_worker', 'tpu'] = 'one_device'
    device: Literal['auto', 'cpu', 'gpu'] = 'auto'
    num_devices: Count | None = None
    model: ModelConfig = Field(default_factory=ModelConfig)
    start: StartConfig = Field(default_factory=StartConfig)
    distill: DistillConfig = Field(default_factory=DistillConfig)
    input: InputConfig = Field(default_factory=InputConfig)
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    step: StepConfig = Field(default_factory=StepConfig)
    validation: ValidationConfig = Field(default_factory=ValidationConfig)
    board: BoardConfig = Field(default_factory=BoardConfig)

    def __post_init__(self) -> None:
        smallest = families.family_of(self.model.name).smallest
        sides = [(size.height, size.width) for size in self.input.sizes]
        for height, width in [(self.input.height, self.input.width), *sides]:
            if min(height, width) < smallest:
                raise ValueError(
                    f'input.height and input.width must be at least {smallest} for '
                    f'{self.model.name}, got {height} and {width}'
                )
        if self.input.sizes and self.model.pooling == 'flatten':
            raise ValueError(
                "model.pooling must not be flatten where input.sizes are given, got 'flatten': its "
                'weights hang on the size'
            )
        if self.model.fusion.is_on and self.augment.mixes:
            raise ValueError(
                'augment.mixup and augment.cutmix must be 0 where model.fusion is '
                f'{self.model.fusion.name}, got {self.augment.mixup} and {self.augment.cutmix}: '
                'pictures are mixed one to one'
            )
        if self.distill.teacher and (self.model.fusion.is_on or self.input.features):
            raise ValueError(
                'distill.teacher must be None where model.fusion is on or input.features True, '
                f'got {self.distill.teacher!r}: a student learns pictures'
            )
        if self.input.features:
            self._check_features()
        if self.validation.every_steps % self.log_every_steps:
            raise ValueError(
                'validation.every_steps must be a multiple of log_every_steps '
                f'{self.log_every_steps}, got {self.validation.every_steps}'
            )
        if self.optimizer.schedule.name == 'plateau' and not self.validation.every_steps:
            raise ValueError('validation.every_steps must be set for schedule plateau, got 0')

    def _check_features(self) -> None:
        if not self.model.fusion.is_on:
            raise ValueError(
                'model.fusion must be on where input.features is, got none; mean is the plainest'
            )
        if self.augment != AugmentConfig(flip=False):
            raise ValueError(
                'augment must be off (augment.flip=false and the rest as it is) where '
                'input.features is on: there are no pictures to vary'
            )
        if self.start.workdir is not None:
            raise ValueError(
                f'start.workdir must be None where input.features is on, got '
                f'{self.start.workdir!r}: the backbone is the one that made the features'
            )
