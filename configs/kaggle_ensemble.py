r"""EfficientNetV2-S with fused views, the third network of an ensemble on the full Kaggle data.

The three networks are:
1. configs/kaggle_efficientnet_v2_s.py in runs/efficientnet_v2_s, on single pictures.
2. configs/kaggle_fused_views.py in runs/fused_views, ResNet-50 with fused views.
3. This config, which starts from the first network and fuses its views.

python -m trainer.task --config=configs/kaggle_ensemble.py --data=gs://BUCKET/natural \
  --workdir=gs://BUCKET/runs/fused_efficientnet_v2_s \
  --config.start.workdir=gs://BUCKET/runs/efficientnet_v2_s \
  --config.start.pattern='^(?!fusion_|logits/)'
RUNS=gs://BUCKET/runs
python -m trainer.ensemble --data=gs://BUCKET/natural --output=run/ensemble \
  --workdirs=$RUNS/efficientnet_v2_s,$RUNS/fused_views,$RUNS/fused_efficientnet_v2_s
python -m trainer.evaluate --workdir=run/ensemble --data=gs://BUCKET/natural \
  --output=run/ensemble/report
python -m trainer.export --workdir=run/ensemble --output=run/models/product_categories/1
python -m trainer.predict --model=run/models/product_categories/1 --input=test.bson \
  --output=submission.csv

To distil the ensemble into one network with the cost of one, train any config without fusion with
--config.distill.teacher=run/ensemble --config.distill.weight=0.7 (docs/models.md).

Expected accuracy: 0.782 to 0.79 per product. In the competition, two networks with gated fusion of
four views reached 0.782, and the winner's ensemble of more and larger networks 0.796. Not yet run.
Hardware: one A100 with 40 GB in bfloat16, at least 4 CPU cores.
Time: 3 hours for 5 epochs of 49,700 steps, estimated from 11.9 GFLOP per picture (3.95 forward, by
--dry_run) and a fifth of the peak; 25 hours for all three. Cost: 12 USD at 4 USD per hour, 100 to
125 USD for all three, estimated.
"""

from trainer.config import (
    AugmentConfig,
    FusionConfig,
    InputConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    StepConfig,
    TrainConfig,
    ValidationConfig,
)

_EPOCH = 49_700  # steps: nine tenths of 7,069,896 products


def get_config() -> TrainConfig:
    """The run of the third network."""
    return TrainConfig(
        batch_size=128,
        total_steps=5 * _EPOCH,
        log_every_steps=100,
        checkpoint_every_steps=2_000,
        steps_per_call=50,
        seed=1,
        model=ModelConfig(
            name='efficientnet_v2_s',
            weights='imagenet',
            pooling='average',
            dropout=0.0,
            fusion=FusionConfig(name='gated', max_views=4, units=512),
        ),
        input=InputConfig(height=180, width=180),
        augment=AugmentConfig(flip=True),
        optimizer=OptimizerConfig(
            name='nadam',
            learning_rate=1e-4,
            schedule=ScheduleConfig(
                name='piecewise', warmup_steps=1_000, boundaries=(2 * _EPOCH, 4 * _EPOCH)
            ),
        ),
        loss=LossConfig(label_smoothing=0.1),
        step=StepConfig(precision='bfloat16'),
        validation=ValidationConfig(every_steps=_EPOCH),
    )
