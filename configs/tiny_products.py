r"""A small CNN with fused product views, on 28x28 photos of ten classes. Two minutes on two cores.

python -m catalog.samples fashion --output=run/sample
python -m beam_pipelines.shard --input=run/sample/train.bson --output=run/shards --shards=8 \
  --categories=run/sample/category_names.csv --balance=sqrt
python -m trainer.task --config=configs/tiny_products.py --data=run/shards --workdir=run/products

An example is a product with 1 to 4 photos. `configs/tiny.py` trains on the same photos one by one.
"""

from trainer.config import (
    AugmentConfig,
    FusionConfig,
    InputConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)


def get_config() -> TrainConfig:
    """Returns the config."""
    return TrainConfig(
        batch_size=64,
        total_steps=1800,
        log_every_steps=50,
        checkpoint_every_steps=600,
        model=ModelConfig(
            name='small_cnn',
            channels=16,
            dropout=0.2,
            fusion=FusionConfig(name='gated', max_views=4, units=64),
        ),
        input=InputConfig(height=28, width=28),
        augment=AugmentConfig(flip=True),
        optimizer=OptimizerConfig(
            name='adamw',
            learning_rate=3e-3,
            schedule=ScheduleConfig(name='cosine', warmup_steps=100),
        ),
    )
