"""Config of the network: backbone, head, fusion of views, initial weights."""

import re
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from trainer.config import backbones
from trainer.config.ranges import STRICT, NonNegativeInt, PositiveFloat, PositiveInt, Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FusionConfig:
    """How the views of a product are fused: see `models.fusion` and docs/fusion.md.

    Attributes:
      name: `none` trains on pictures, and a product is the mean of their probabilities. The others
        train on products, from the features of their views: `mean`, `max`, `gated` attention, or
        `mlp` (a layer on each view, their mean, a layer on the mean).
      max_views: Views of a product that are used, its first ones.
      units: Units of the hidden layers of `gated` and `mlp`.
      dropout: Dropout rate of the fused features, in addition to the model's own.
    """

    name: Literal['none', 'mean', 'max', 'gated', 'mlp'] = 'none'
    max_views: Annotated[int, Field(ge=1, le=64)] = 4
    units: PositiveInt = 128
    dropout: Share = 0.0

    @property
    def is_on(self) -> bool:
        """Whether views are fused, so that an example is a product."""
        return self.name != 'none'


_OWN_NETWORKS = ('small_cnn', 'small_resnet', 'small_xception')  # no pretrained weights


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelConfig:
    """The network: backbone, [batch normalization], [1x1 convolution with batch normalization],
    pooling, dropout, [fusion of views], logits.

    Attributes:
      name: Name of the backbone; docs/models.md lists all, and so does the error for any other.
      weights: Initial weights of the backbone: None (random), `imagenet` (downloaded by Keras) or
        the path of an .h5 file in Keras's format, without top.
      dropout: Dropout rate of the features.
      channels: Channels of the first stage of `small_cnn` and `small_resnet`.
      pooling: Pooling of the feature map: `average`, `max`, `gem` (generalized mean with a learned
        power, Radenovic et al., 2018), or `flatten`, which keeps all of it.
      head_norm: Whether the feature map is batch-normalized.
      head_channels: Channels of a 1x1 convolution with batch normalization before pooling; 0 for
        none.
      last_layer: `dense`; `cosine`, for the loss `ldam`; `scaled`, with a scale for each class, for
        learnable weight scaling in a second stage.
      cosine_scale: Factor of the cosines of `cosine`.
      fusion: Fusion of the views of a product.
    """

    name: str = 'small_cnn'
    weights: str | None = None
    dropout: Share = 0.2
    channels: PositiveInt = 32
    pooling: Literal['average', 'max', 'gem', 'flatten'] = 'average'
    head_norm: bool = False
    head_channels: NonNegativeInt = 0
    last_layer: Literal['dense', 'cosine', 'scaled'] = 'dense'
    cosine_scale: PositiveFloat = 30.0
    fusion: FusionConfig = Field(default_factory=FusionConfig)

    def __post_init__(self) -> None:
        backbones.family_of(self.name)
        if self.name in _OWN_NETWORKS and self.weights is not None:
            raise ValueError(f'weights of {self.name} must be None, got {self.weights!r}')
        lite = backbones.FAMILIES['efficientnet_lite'].members
        if self.name in lite and self.weights == 'imagenet':
            raise ValueError(
                f"weights of {self.name} must be a file, got 'imagenet'; "
                f'python -m trainer.lite_weights --network={self.name} makes it'
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StartConfig:
    """Initial weights from another run.

    Attributes:
      workdir: The workdir of that run, or its `best`; the newest weights are used, or their EMA if
        the run keeps it. None for no other run.
      pattern: Regular expression that is searched in the path of a weight, as in
        `optimizer.groups`. Matching weights are copied; `^(?!logits/)` copies all but those of the
        last layer. The rows of the last layer follow the ids of their categories, if the other run
        had another category tree.
    """

    workdir: str | None = None
    pattern: str = ''

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(
                f'start.pattern must be a regular expression, got {self.pattern!r}: {error}'
            ) from error
