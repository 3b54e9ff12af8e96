r"""The views of a product fused, on the real files: ResNet-50 and gated attention over four views.

python -m beam_pipelines.shard --input=train.bson --categories=category_names.csv --balance=none \
  --output=gs://BUCKET/natural --runner=DataflowRunner
python -m trainer.task --config=configs/kaggle_fused_views.py --data=gs://BUCKET/natural \
  --workdir=gs://BUCKET/runs/fused_views

An example is a product, of 1.75 pictures on average. To begin from a network that has learned the
pictures one by one add --config.start.workdir=DIR --config.start.pattern='^(?!fusion_|logits/)'. To
learn the fusion alone, on frozen features, in minutes: docs/fusion.md.

Expected: 0.769 of the products. A ResNet-50 of the competition reached 0.757 as the mean of views
and 0.769 with its views fused; two networks on four views, gated, reached 0.782. Not yet run.
Hardware: one A100 of 40 GB in bfloat16, 4 processor cores or more.
Time: 12 hours for 15 epochs of 49,700 steps; an estimate from 15.9 GFLOP a picture (2.65 GMAC
forward) and a fifth of the peak. Cost: 50 to 60 USD at 4 USD an hour; an estimate.
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
    """The run."""
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
