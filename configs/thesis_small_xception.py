"""A small Xception from random weights, the thesis's first model: 8,183,374 parameters.

python -m trainer.task --config=configs/thesis_small_xception.py --data=DIR --workdir=DIR

Validation accuracy in the thesis: 0.42 per picture after 10 epochs. Setup: a tenth of the products,
180x180 pixels, batches of 128, 7,740 steps per epoch, no augmentation. The thesis does not state
the optimizer; this config uses Adam with Keras's defaults. It gives no summary either: the
parameter count is that of the Keras example that it cites, with 5,270 classes. See docs/models.md.
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
            name='small_xception',
            pooling='average',
            dropout=0.5,
        ),
        input=InputConfig(height=180, width=180, sample_fraction=0.1),
        augment=AugmentConfig(flip=False),
        optimizer=OptimizerConfig(name='adam', learning_rate=1e-3),
    )
