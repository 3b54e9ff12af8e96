r"""ResNet-50 with gated attention over four product views, on the full Kaggle data.

python -m beam_pipelines.shard --input=train.bson --categories=category_names.csv --balance=none \
  --output=gs://BUCKET/natural --runner=DataflowRunner
python -m trainer.task --config=configs/kaggle_fused_views.py --data=gs://BUCKET/natural \
  --workdir=gs://BUCKET/runs/fused_views

An example is a product with 1.75 pictures on average. To start from a network trained on single
pictures, add --config.start.workdir=DIR --config.start.pattern='^(?!fusion_|logits/)'. Training
only the fusion, on frozen features, takes minutes: see docs/fusion.md.

Expected accuracy: 0.769 per product. In the competition, ResNet-50 reached 0.757 averaged over
views and 0.769 with fused views; two networks with gated fusion of four views reached 0.782. Not
yet run.
Hardware: one A100 with 40 GB in bfloat16, at least 4 CPU cores.
Time: 12 hours for 15 epochs of 49,700 steps, estimated from 15.9 GFLOP per picture (2.65 GMAC
forward) and a fifth of the peak. Cost: 50 to 60 USD at 4 USD per hour, estimated.
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
    """Returns the config."""
    return TrainConfig(
        batch_size=128,
        total_steps=15 * _EPOCH,
        log_every_steps=100,
        checkpoint_every_steps=2_000,
        steps_per_call=50,
        model=ModelConfig(
            name='resnet50',
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
                name='piecewise', warmup_steps=1_000, boundaries=(9 * _EPOCH, 13 * _EPOCH)
            ),
        ),
        loss=LossConfig(label_smoothing=0.1),
        step=StepConfig(precision='bfloat16'),
        validation=ValidationConfig(every_steps=_EPOCH),
    )
