"""The thesis's first network, a small Xception from random weights: 8,183,374 parameters.

python -m trainer.task --config=configs/thesis_small_xception.py --data=DIR --workdir=DIR

0.42 of the validation pictures after 10 epochs. The thesis prints no summary of it: the count is
that of the Keras example that it names, with 5,270 classes. A tenth of the products, pictures of
180 pixels in batches of 128, 7,740 steps an epoch, no augmentation; the thesis does not print its
optimizer: Adam as Keras has it. See docs/models.md.
"""

from trainer.config import (
    AugmentConfig,
    InputConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)


def get_config() -> TrainConfig:
    """The run."""
    return TrainConfig(
        batch_size=128,
        total_steps=77_400,
        log_every_steps=100,
        checkpoint_every_steps=2_000,
        steps_per_call=50,
        model=ModelConfig(
            name='small_xception',
            pooling='average',
            dropout=0.5,
        ),
        input=InputConfig(height=180, width=180, sample_fraction=0.1),
        augment=AugmentConfig(flip=False),
        optimizer=OptimizerConfig(name='adam', learning_rate=1e-3),
    )
