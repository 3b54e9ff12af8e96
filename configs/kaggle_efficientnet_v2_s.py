r"""EfficientNetV2-S on the full Kaggle data, with the recipe of the competition's best single net.

python -m beam_pipelines.shard --input=train.bson --categories=category_names.csv --balance=none \
  --output=gs://BUCKET/natural --runner=DataflowRunner
python -m trainer.task --config=configs/kaggle_efficientnet_v2_s.py --data=gs://BUCKET/natural \
  --workdir=gs://BUCKET/runs/efficientnet_v2_s

The competition's best single model, DPN-107, reached an accuracy of 0.767 per product, averaged
over views and flips. Its recipe: Nadam with learning rates 1e-4, 2e-5 and 4e-6, label smoothing
0.1, flip, 180 pixels, 15 to 20 epochs, natural class frequencies. In an ablation, dropout after the
pooling cost 0.4 points. ResNet-50 reached 0.757. On ImageNet, EfficientNetV2-S (0.839) is better
than both (0.80 and 0.76).

Expected accuracy: 0.757 to 0.767 per product, estimated from these results. Not yet run.
Hardware: one A100 with 40 GB (batches of 256 in bfloat16), at least 4 CPU cores.
Time: 10 hours for 18 epochs of 43,500 steps, estimated from 11.6 GFLOP per picture (1.9 GMAC
forward) and a fifth of the peak. Cost: 40 to 50 USD at 4 USD per hour, estimated.
"""

from trainer.config import (
    AugmentConfig,
    InputConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    StepConfig,
    TrainConfig,
    ValidationConfig,
)

_EPOCH = 43_500  # steps: nine tenths of 12,371,293 pictures


def get_config() -> TrainConfig:
    """Returns the config."""
    return TrainConfig(
        batch_size=256,
        total_steps=18 * _EPOCH,
        log_every_steps=100,
        checkpoint_every_steps=2_000,
        steps_per_call=50,
        model=ModelConfig(
            name='efficientnet_v2_s', weights='imagenet', pooling='average', dropout=0.0
        ),
        input=InputConfig(height=180, width=180),
        augment=AugmentConfig(flip=True),
        optimizer=OptimizerConfig(
            name='nadam',
            learning_rate=1e-4,
            schedule=ScheduleConfig(
                name='piecewise', warmup_steps=1_000, boundaries=(10 * _EPOCH, 15 * _EPOCH)
            ),
        ),
        loss=LossConfig(label_smoothing=0.1),
        step=StepConfig(precision='bfloat16'),
        validation=ValidationConfig(every_steps=_EPOCH),
    )
