"""The thesis's ResNet-101 with all of its map in the last layer: 571,526,678 parameters.

python -m trainer.task --config=configs/thesis_resnet101_flatten.py --data=DIR --workdir=DIR

The thesis stopped it after 2 or 3 epochs of 8 to 9 hours. A tenth of the products, pictures of 224
pixels in batches of 128, 7,740 steps an epoch, no augmentation; the thesis does not print its
optimizer: Adam as Keras has it. The parameters are those of its summary. See docs/models.md.
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
        total_steps=23_220,
        log_every_steps=100,
        checkpoint_every_steps=2_000,
        steps_per_call=50,
        model=ModelConfig(
            name='resnet101',
            weights='imagenet',
            pooling='flatten',
            head_norm=True,
            dropout=0.0,
        ),
        input=InputConfig(height=224, width=224, sample_fraction=0.1),
        augment=AugmentConfig(flip=False),
        optimizer=OptimizerConfig(name='adam', learning_rate=1e-3),
    )
