"""NASNetLarge with average pooling, the thesis's last model: 106,170,728 parameters.

python -m trainer.task --config=configs/thesis_nasnet_large.py --data=DIR --workdir=DIR

The thesis gives neither a summary nor a result, because the training was not finished. Setup: a
tenth of the products, 180x180 pixels, batches of 128, 7,740 steps per epoch, no augmentation. The
thesis does not state the optimizer; this config uses Adam with Keras's defaults. See
docs/models.md.
"""

from trainer.config import (
    AugmentConfig,
    InputConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)


def get_config() -> TrainConfig:
    """Returns the config."""
    return TrainConfig(
        batch_size=128,
        total_steps=77_400,
        log_every_steps=100,
        checkpoint_every_steps=2_000,
        steps_per_call=50,
        model=ModelConfig(
            name='nasnet_large',
            weights='imagenet',
            pooling='average',
            dropout=0.2,
        ),
        input=InputConfig(height=180, width=180, sample_fraction=0.1),
        augment=AugmentConfig(flip=False),
        optimizer=OptimizerConfig(name='adam', learning_rate=1e-3),
    )
