r"""One strong network on the real files: EfficientNetV2-S, trained as the competition's best was.

python -m beam_pipelines.shard --input=train.bson --categories=category_names.csv --balance=none \
  --output=gs://BUCKET/natural --runner=DataflowRunner
python -m trainer.task --config=configs/kaggle_efficientnet_v2_s.py --data=gs://BUCKET/natural \
  --workdir=gs://BUCKET/runs/efficientnet_v2_s

The recipe is that of the best single network of the competition (DPN-107, 0.767 of the products,
mean of views and flips): Nadam from 1e-4 over 2e-5 to 4e-6, label smoothing 0.1, flip, 180 px,
15 to 20 epochs, classes as they come. Of dropout after the pooling an ablation found -0.4 points.
A ResNet-50 reached 0.757. On ImageNet, EfficientNetV2-S is better than both (0.839; 0.76 and 0.80).

Expected: 0.757 to 0.767 of the products. An estimate from these figures, not yet run.
Hardware: one A100 of 40 GB (batches of 256 in bfloat16), 4 processor cores or more.
Time: 10 hours for 18 epochs of 43,500 steps; an estimate from 11.6 GFLOP a picture (1.9 GMAC
forward) and a fifth of the peak. Cost: 40 to 50 USD at 4 USD an hour; an estimate.
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
    """The run."""
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
