"""The values of the network: backbone, its weights, the head on top of it. No TensorFlow.

The part of a config that says how the views of a product become one answer.

Which weights a run begins with, beside those of its backbone.
"""

import re
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from trainer.config import backbones as families
from trainer.config.ranges import STRICT, Count, Natural, Positive, Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FusionConfig:
    """How the views of a product are fused: see trainer/fusion.py and docs/fusion.md.

    Attributes:
      name: `none` learns pictures, and a product is the mean of their probabilities; the others
        learn products, from the features of their views: `mean`, `max`, `gated` attention, or `mlp`
        (a layer on each view, their mean, a layer on that).
      max_views: of a product that count, its first ones; the others are left out.
      units: of the hidden layers of `gated` and `mlp`.
      dropout: share of the fused features that training leaves out, beside the model's own.
    """

    name: Literal['none', 'mean', 'max', 'gated', 'mlp'] = 'none'
    max_views: Annotated[int, Field(ge=1, le=64)] = 4
    units: Count = 128
    dropout: Share = 0.0

    @property
    def is_on(self) -> bool:
        """Whether an example is a product."""
        return self.name != 'none'


_OUR_OWN = ('small_cnn', 'small_resnet', 'small_xception')  # trained from random weights only


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelConfig:
    """The network: backbone, [batch norm], [1x1 convolution, batch norm], pooling, dropout, [fusion
    of views], logits.

    Attributes:
      name: of the backbone; docs/models.md lists them, and so does the error for any other.
      weights: that the backbone begins with: None (random), `imagenet` (downloaded by Keras) or
        the path of an .h5 file like Keras's own, without top.
      dropout: share of the features that training leaves out.
      channels: of the first stage of `small_cnn` and `small_resnet`.
      pooling: what becomes of the backbone's map: `average`, `max`, `gem` (generalised mean with a
        learned power, Radenovic et al., 2018), or `flatten`, which keeps all of it.
      head_norm: batch norm on the backbone's map.
      head_channels: of a 1x1 convolution with batch norm on the map, before it is pooled; 0: none.
      last_layer: `dense`; `cosine`, for the loss `ldam`; `scaled`, with a scale for each class, for
        learnable weight scaling in a second stage.
      cosine_scale: of `cosine`: what the cosines are multiplied by.
      fusion: of the views of a product.
    """

    name: str = 'small_cnn'
    weights: str | None = None
    dropout: Share = 0.2
    channels: Count = 32
    pooling: Literal['average', 'max', 'gem', 'flatten'] = 'average'
    head_norm: bool = False
    head_channels: Natural = 0
    last_layer: Literal['dense', 'cosine', 'scaled'] = 'dense'
    cosine_scale: Positive = 30.0
    fusion: FusionConfig = Field(default_factory=FusionConfig)

    def __post_init__(self) -> None:
        families.family_of(self.name)
        if self.name in _OUR_OWN and self.weights is not None:
            raise ValueError(f'weights of {self.name} must be None, got {self.weights!r}')
        if self.name == 'efficientnet_lite0' and self.weights == 'imagenet':
            raise ValueError(
                "weights of efficientnet_lite0 must be a file, got 'imagenet'; "
                'python -m trainer.lite0_weights makes it'
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StartConfig:
    """Weights of another run, taken before the first step.

    Attributes:
      workdir: of that run, or its `best`; its newest weights count, or their means where it keeps
        them. None for no other run.
      pattern: a regular expression, looked for in the weight's path as in `optimizer.groups`. The
        weights that it fits are taken; `^(?!logits/)` takes all but those of the last layer.
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
