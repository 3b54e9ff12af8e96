"""Frozen EfficientNet-B7 with a 1x1 convolution, from the thesis: 113,327,917 parameters.

python -m trainer.task --config=configs/thesis_efficientnet_b7_conv.py --data=DIR --workdir=DIR

Validation accuracy in the thesis: 0.593 per picture. Setup: a tenth of the products, 180x180
pixels, batches of 128, 7,740 steps per epoch, no augmentation. The thesis does not state the
optimizer; this config uses Adam with Keras's defaults. The parameter count is that of the thesis's
summary. See docs/models.md.
"""

from trainer.config import (
    AugmentConfig,
    GroupConfig,
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
            name='efficientnet_b7',
            weights='imagenet',
            pooling='flatten',
            head_channels=256,
            dropout=0.2,
        ),
        input=InputConfig(height=180, width=180, sample_fraction=0.1),
        augment=AugmentConfig(flip=False),
        optimizer=OptimizerConfig(
            name='adam',
            learning_rate=1e-3,
            groups=(GroupConfig(pattern='^efficientnet_b7/', rate=0.0),),
        ),
    )
