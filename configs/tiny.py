"""A small CNN on 28x28 images of ten classes, in a few minutes on two cores. `make run` trains it.

python -m trainer.task --config=configs/tiny.py --data=DIR --workdir=DIR
"""

from trainer.config import (
    AugmentConfig,
    InputConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)


def get_config() -> TrainConfig:
    """Returns the config."""
    return TrainConfig(
        batch_size=128,
        total_steps=1800,
        log_every_steps=50,
        checkpoint_every_steps=600,
        model=ModelConfig(name='small_cnn', channels=16, dropout=0.2),
        input=InputConfig(height=28, width=28),
        augment=AugmentConfig(flip=True),
        optimizer=OptimizerConfig(
            name='adamw',
            learning_rate=3e-3,
            schedule=ScheduleConfig(name='cosine', warmup_steps=100),
        ),
    )
