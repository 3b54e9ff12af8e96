"""The values of the network: backbone, its weights, the head on top of it. No TensorFlow."""

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from trainer.config import backbones as families
from trainer.config.ranges import STRICT
from trainer.config.ranges import Count
from trainer.config.ranges import Natural
from trainer.config.ranges import Positive
from trainer.config.ranges import Share
from trainer.config.fusion_config import FusionConfig

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
