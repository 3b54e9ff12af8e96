"""InceptionV3 with a 1x1 convolution, the thesis's best model: 66,039,222 parameters.

python -m trainer.task --config=configs/thesis_inception_v3_conv.py --data=DIR --workdir=DIR

Validation accuracy in the thesis: 0.601 per picture. Setup: a tenth of the products, 180x180
pixels, batches of 128, 7,740 steps per epoch, no augmentation. The thesis does not state the
optimizer; this config uses Adam with Keras's defaults. The parameter count is that of the thesis's
summary. See docs/models.md.
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
            name='inception_v3',
            weights='imagenet',
            pooling='flatten',
            head_norm=True,
            head_channels=512,
            dropout=0.2,
        ),
        input=InputConfig(height=180, width=180, sample_fraction=0.1),
        augment=AugmentConfig(flip=False),
        optimizer=OptimizerConfig(name='adam', learning_rate=1e-3),
    )
