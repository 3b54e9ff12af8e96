"""The backbones: families, preprocessing, minimum image size.

Values only, no TensorFlow: an unknown name is reported before TensorFlow is loaded. A name is
Keras's in snake_case, with version and size separated: `EfficientNetV2S` is `efficientnet_v2_s`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Channels = float | tuple[float, float, float]


@dataclass(frozen=True)
class Feed:
    """The input of the first layer: `(pixels - mean) / scale` for each channel.

    Attributes:
      mean: Subtracted from pixels of 0 to 255, for all channels or for each in the model's order.
      scale: Divides the difference, for all channels or for each.
      bgr: Whether the model's channel order is blue, green, red.
    """

    mean: Channels = 0.0
    scale: Channels = 1.0
    bgr: bool = False


SIGNED = Feed(mean=127.5, scale=127.5)  # from -1 to 1
UNIT = Feed(scale=255.0)  # from 0 to 1
PIXELS = Feed()  # from 0 to 255: the model scales them
IMAGENET = Feed(
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255), scale=(0.229 * 255, 0.224 * 255, 0.225 * 255)
)
CAFFE = Feed(mean=(103.939, 116.779, 123.68), bgr=True)
LITE = Feed(mean=127.0, scale=128.0)


@dataclass(frozen=True)
class Family:
    """Backbones of one paper with the same preprocessing.

    Attributes:
      feed: The input of their first layer.
      smallest: Minimum side of an image in pixels, as Keras requires it.
      members: Names to classes of `keras.applications`; empty for networks that Keras lacks.
    """

    feed: Feed
    smallest: int
    members: Mapping[str, str]


FAMILIES = {
    'small': Family(SIGNED, 8, {'small_cnn': '', 'small_resnet': ''}),
    'small_xception': Family(UNIT, 32, {'small_xception': ''}),
    'efficientnet_lite': Family(LITE, 32, {f'efficientnet_lite{i}': '' for i in range(3)}),
    'convnext': Family(
        PIXELS,
        32,
        {
            'convnext_tiny': 'ConvNeXtTiny',
            'convnext_small': 'ConvNeXtSmall',
            'convnext_base': 'ConvNeXtBase',
            'convnext_large': 'ConvNeXtLarge',
            'convnext_xlarge': 'ConvNeXtXLarge',
        },
    ),
    'densenet': Family(
        IMAGENET,
        32,
        {
            'densenet121': 'DenseNet121',
            'densenet169': 'DenseNet169',
            'densenet201': 'DenseNet201',
        },
    ),
    'efficientnet': Family(
        PIXELS, 32, {f'efficientnet_b{i}': f'EfficientNetB{i}' for i in range(8)}
    ),
    'efficientnet_v2': Family(
        PIXELS,
        32,
        {
            **{f'efficientnet_v2_b{i}': f'EfficientNetV2B{i}' for i in range(4)},
            'efficientnet_v2_s': 'EfficientNetV2S',
            'efficientnet_v2_m': 'EfficientNetV2M',
            'efficientnet_v2_l': 'EfficientNetV2L',
        },
    ),
    'inception_resnet_v2': Family(SIGNED, 75, {'inception_resnet_v2': 'InceptionResNetV2'}),
    'inception_v3': Family(SIGNED, 75, {'inception_v3': 'InceptionV3'}),
    'mobilenet': Family(SIGNED, 32, {'mobilenet': 'MobileNet'}),
    'mobilenet_v2': Family(SIGNED, 32, {'mobilenet_v2': 'MobileNetV2'}),
    'mobilenet_v3': Family(
        PIXELS,
        32,
        {'mobilenet_v3_small': 'MobileNetV3Small', 'mobilenet_v3_large': 'MobileNetV3Large'},
    ),
    'nasnet': Family(SIGNED, 32, {'nasnet_mobile': 'NASNetMobile', 'nasnet_large': 'NASNetLarge'}),
    'resnet': Family(
        CAFFE, 32, {'resnet50': 'ResNet50', 'resnet101': 'ResNet101', 'resnet152': 'ResNet152'}
    ),
    'resnet_v2': Family(
        SIGNED,
        32,
        {
            'resnet50_v2': 'ResNet50V2',
            'resnet101_v2': 'ResNet101V2',
            'resnet152_v2': 'ResNet152V2',
        },
    ),
    'vgg': Family(CAFFE, 32, {'vgg16': 'VGG16', 'vgg19': 'VGG19'}),
    'xception': Family(SIGNED, 71, {'xception': 'Xception'}),
}

NAMES = tuple(name for family in FAMILIES.values() for name in family.members)


def family_of(name: str) -> Family:
    """Returns the family of a backbone.

    Raises:
      ValueError: Listing all backbones, if the name is unknown.
    """
    for family in FAMILIES.values():
        if name in family.members:
            return family
    raise ValueError(f'model.name must be one of {", ".join(NAMES)}; got {name!r}')
