"""Opens the SavedModel that is converted, and counts its operations."""

import json
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from catalog import storage
from catalog.digests import folder as digests
from catalog.errors import UserError
from catalog.model_folders.version_folder import MODEL_CARD
from serving.convert.options import check_exported


@dataclass(frozen=True)
class Source:
    """An exported model.

    Attributes:
      folder: Its version folder.
      loaded: The SavedModel, which owns the variables.
      network: Its function `network`, as traced.
      height: Height of its images, in pixels.
      width: Width of its images, in pixels.
      card: The content of model_card.json.
    """

    folder: str
    loaded: Any
    network: Any
    height: int
    width: int
    card: dict[str, Any]


def open_source(folder: str) -> Source:
    """Loads an exported model after verifying its files.

    Raises:
      UserError: If the folder is no version that trainer.export wrote, or it is damaged.
    """
    check_exported(folder)
    digests.verify(folder)
    loaded = tf.saved_model.load(folder)
    if not hasattr(loaded, 'network'):
        raise UserError(
            f'{folder}: was exported by an older version of trainer.export; export it again'
        )
    (network,) = loaded.network.concrete_functions
    _, height, width, _ = network.structured_input_signature[0][0].shape
    card = json.loads(storage.read_bytes(storage.join(folder, MODEL_CARD)))
    return Source(folder, loaded, network, height, width, card)


def freeze(source: Source) -> Any:
    """Returns the network with its variables as constants."""
    return convert_variables_to_constants_v2(source.network)


def count_flops(source: Source) -> int:
    """Counts the floating-point operations of one picture; a multiply-add is two."""
    one = [
        tf.TensorSpec([1, source.height, source.width, 3], tf.uint8),
        tf.TensorSpec([1], tf.int64),
    ]
    pictures = tf.function(lambda images, product: source.loaded.network(images, product))
    graph = convert_variables_to_constants_v2(pictures.get_concrete_function(*one)).graph
    profiler = tf.compat.v1.profiler
    options = {**profiler.ProfileOptionBuilder.float_operation(), 'output': 'none'}
    return int(profiler.profile(graph, options=options).total_float_ops)
