"""The values of a run: typed, frozen and validated. No TensorFlow."""

from trainer.config.train_config import (
    AugmentConfig,
    BoardConfig,
    DistillConfig,
    FusionConfig,
    GroupConfig,
    InputConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    SizeConfig,
    StartConfig,
    StepConfig,
    TrainConfig,
    ValidationConfig,
)

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
