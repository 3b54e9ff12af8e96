"""The thesis's InceptionV3 with all of its map in the last layer: 194,495,414 parameters.

python -m trainer.task --config=configs/thesis_inception_v3_flatten.py --data=DIR --workdir=DIR

The thesis prints no accuracy with it, and says that it overfits. A tenth of the products, pictures
of 180 pixels in batches of 128, 7,740 steps an epoch, no augmentation; the thesis does not print
its optimizer: Adam as Keras has it. The parameters are those of its summary. See docs/models.md.
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
            name='inception_v3',
            weights='imagenet',
            pooling='flatten',
            dropout=0.2,
        ),
        input=InputConfig(height=180, width=180, sample_fraction=0.1),
        augment=AugmentConfig(flip=False),
        optimizer=OptimizerConfig(name='adam', learning_rate=1e-3),
    )
