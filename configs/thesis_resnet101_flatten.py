"""ResNet-101 with its flattened feature map as the last layer's input, from the thesis.

python -m trainer.task --config=configs/thesis_resnet101_flatten.py --data=DIR --workdir=DIR

571,526,678 parameters, as in the thesis's summary. The thesis stopped the training after 2 or 3
epochs of 8 to 9 hours each. Setup: a tenth of the products, 224x224 pixels, batches of 128, 7,740
steps per epoch, no augmentation. The thesis does not state the optimizer; this config uses Adam
with Keras's defaults. See docs/models.md.
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
