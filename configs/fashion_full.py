r"""ResNet-9 on the Fashion-MNIST benchmark: 60,000 train photos, 10,000 test photos, balanced.

python -m catalog.samples fashion --output=run/full/sample --imbalance=1 --views=1 --labelled_test
python -m beam_pipelines.shard --input=run/full/sample/train.bson --output=run/full/train \
  --categories=run/full/sample/category_names.csv --balance=none --validation_fraction=0 --shards=8
python -m beam_pipelines.shard --input=run/full/sample/test.bson --output=run/full/test \
  --categories=run/full/sample/category_names.csv --balance=none --validation_fraction=0 --shards=1
taskset -c 0 python -m trainer.task --config=configs/fashion_full.py --data=run/full/train \
  --workdir=run/full/workdir
python -m trainer.evaluate --workdir=run/full/workdir --data=run/full/test --split=train \
  --output=run/full/report

The official test photos are a separate data set, whose only split is called `train`.

Recipe: flip and padded crop, label smoothing, cosine schedule, EMA of the weights, progressive
resizing (20, 24, then 28 pixels), and bfloat16, which oneDNN computes a quarter faster on
processors with AVX-512 BF16. 14.7 epochs of 60,000 photos.

Test accuracy: 0.9422, or 0.9445 with `trainer.evaluate --tta=flip` (docs/study.md).
Time: 28.8 CPU minutes on one core, which `taskset` selects. Two cores need less wall time, but an
eighth more CPU time.
"""

from trainer.config import (
    AugmentConfig,
    InputConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    SizeConfig,
    StepConfig,
    TrainConfig,
)


def get_config() -> TrainConfig:
    """Returns the config."""
    return TrainConfig(
        batch_size=128,
        total_steps=6_900,
        log_every_steps=100,
        checkpoint_every_steps=1_000,
        steps_per_call=50,
        model=ModelConfig(name='small_resnet', channels=32, dropout=0.0),
        input=InputConfig(
            height=28,
            width=28,
            sizes=(
                SizeConfig(until_step=2_600, height=20, width=20),
                SizeConfig(until_step=4_300, height=24, width=24),
            ),
        ),
        augment=AugmentConfig(flip=True, crop='pad', crop_padding=0.1),
        optimizer=OptimizerConfig(
            name='adamw',
            learning_rate=3e-3,
            weight_decay=0.05,
            schedule=ScheduleConfig(name='cosine', warmup_steps=400),
        ),
        loss=LossConfig(label_smoothing=0.1),
        step=StepConfig(ema_decay=0.999, precision='bfloat16'),
    )
