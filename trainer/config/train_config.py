"""The config of a run: all values that change its result. Reads no file.

Config files and overrides are in `files` and `overrides`. Why pydantic: docs/adr/0003.
"""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from trainer.config import backbones
from trainer.config.augment import AugmentConfig
from trainer.config.input import InputConfig, SizeConfig
from trainer.config.loop import BoardConfig, StepConfig, ValidationConfig
from trainer.config.loss import DistillConfig, LossConfig
from trainer.config.model import FusionConfig, ModelConfig, StartConfig
from trainer.config.optimizer import GroupConfig, OptimizerConfig, ScheduleConfig
from trainer.config.ranges import STRICT, PositiveInt

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
    """The config of a run.

    Attributes:
      seed: Seed of all random draws.
      batch_size: Global batch size over all devices: pictures, or products if their views are
        fused.
      total_steps: Number of training steps.
      log_every_steps: Steps between two lines of metrics.jsonl.
      checkpoint_every_steps: Steps between two checkpoints.
      keep_checkpoints: Number of checkpoints to keep.
      steps_per_call: Steps in one call of the compiled function.
      strategy: The distribution strategy.
      device: `auto` uses GPUs; `one_device` falls back to the CPU if there is none.
      num_devices: Number of devices; None uses all.
      model, start, distill, input, augment, optimizer, loss, step, validation, board: The parts.
    """

    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    batch_size: PositiveInt
    total_steps: PositiveInt
    log_every_steps: PositiveInt = 100
    checkpoint_every_steps: PositiveInt = 1000
    keep_checkpoints: PositiveInt = 3
    steps_per_call: PositiveInt = 10
    strategy: Literal['one_device', 'mirrored', 'multi_worker', 'tpu'] = 'one_device'
    device: Literal['auto', 'cpu', 'gpu'] = 'auto'
    num_devices: PositiveInt | None = None
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
        smallest = backbones.family_of(self.model.name).smallest
        sides = [(size.height, size.width) for size in self.input.sizes]
        for height, width in [(self.input.height, self.input.width), *sides]:
            if min(height, width) < smallest:
                raise ValueError(
                    f'input.height and input.width must be at least {smallest} for '
                    f'{self.model.name}, got {height} and {width}'
                )
        if self.input.sizes and self.model.pooling == 'flatten':
            raise ValueError(
                "model.pooling must not be flatten if input.sizes is given, got 'flatten': the "
                'number of its weights depends on the image size'
            )
        scales = [size.decode_scale for size in self.input.sizes]
        if max(scales, default=1) > 1 and self.augment.crop != 'resized':
            raise ValueError(
                f'input.sizes must have decode_scale 1 if augment.crop is {self.augment.crop}, got '
                f'{max(scales)}: the crop `resized` brings images to their size'
            )
        if self.strategy == 'tpu' and self.input.reading == 'sharded':
            raise ValueError(
                'input.reading must be shared for strategy tpu, got sharded: one process reads for '
                'the whole slice'
            )
        if self.model.fusion.is_on and self.augment.mixes:
            raise ValueError(
                'augment.mixup and augment.cutmix must be 0 if model.fusion is '
                f'{self.model.fusion.name}, got {self.augment.mixup} and {self.augment.cutmix}: '
                'only single pictures can be mixed'
            )
        if self.distill.teacher and (self.model.fusion.is_on or self.input.features):
            raise ValueError(
                'distill.teacher must be None if model.fusion is on or input.features is true, got '
                f'{self.distill.teacher!r}: a student learns from single pictures'
            )
        if self.input.features:
            self._check_features()
        if self.validation.every_steps % self.log_every_steps:
            raise ValueError(
                'validation.every_steps must be a multiple of log_every_steps '
                f'{self.log_every_steps}, got {self.validation.every_steps}'
            )
        if self.optimizer.schedule.name == 'plateau' and not self.validation.every_steps:
            raise ValueError('validation.every_steps must be above 0 for schedule plateau, got 0')

    def _check_features(self) -> None:
        if not self.model.fusion.is_on:
            raise ValueError(
                'model.fusion must be on if input.features is true, got none; the simplest is mean'
            )
        if self.augment != AugmentConfig(flip=False):
            raise ValueError(
                'augment must be off (augment.flip=false and the defaults) if input.features is '
                'true: features cannot be augmented'
            )
        if self.start.workdir is not None:
            raise ValueError(
                f'start.workdir must be None if input.features is true, got '
                f'{self.start.workdir!r}: the backbone is that of the features'
            )
