"""A config for tests of the input pipeline."""

from trainer.config import FusionConfig, InputConfig, ModelConfig, TrainConfig


def input_config(*, fusion: str = 'none', **given: object) -> TrainConfig:
    """Returns a config of small images; `given` are fields of `input`."""
    size = {'height': 28, 'width': 28, 'shuffle_records': 30}
    return TrainConfig(
        batch_size=16,
        total_steps=1,
        input=InputConfig(**{**size, **given}),  # type: ignore[arg-type]
        model=ModelConfig(fusion=FusionConfig(name=fusion, max_views=2)),  # type: ignore[arg-type]
    )
