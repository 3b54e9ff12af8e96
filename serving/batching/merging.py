"""Merges the inputs of several requests along the first dimension, and splits the outputs again.

Each row of an output belongs to the row of the inputs with the same number. In the signature
`product`, each row of an output belongs to a product, and each request numbers its own from 0: they
are shifted, so that products of two requests never mix. Pure numpy: knows no model and no thread.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.protocol.names import PRODUCT, PRODUCT_SIGNATURE
from serving.runtimes.model import Arrays, Outputs


@dataclass(frozen=True)
class Shape:
    """What of a request decides whether it can be merged with another.

    Attributes:
      key: Equal for requests that can be merged.
      rows: First dimension of the inputs.
      output_rows: First dimension of the outputs.
    """

    key: Hashable
    rows: int
    output_rows: int


def shape(
    signature_name: str, signature: Any, inputs: Arrays, outputs: Sequence[str]
) -> Shape | None:
    """Returns the shape of a request, or None if it must run alone.

    Args:
      signature_name: Name of the signature.
      signature: Its tensorflow.SignatureDef, or None if it is unknown.
      inputs: Arrays by input name.
      outputs: Names of the requested outputs.
    """
    if signature is None or set(signature.inputs) != set(inputs) or not _has_rows(signature):
        return None  # the model gives the reason of an error
    sizes = {array.shape[0] if array.ndim else 0 for array in inputs.values()}
    if len(sizes) != 1 or not (rows := sizes.pop()):
        return None
    has_products = signature_name == PRODUCT_SIGNATURE and PRODUCT in inputs
    output_rows = _count_products(inputs[PRODUCT]) if has_products else rows
    if not output_rows:
        return None
    kinds = ((name, inputs[name].dtype.str, inputs[name].shape[1:]) for name in sorted(inputs))
    return Shape((signature_name, tuple(outputs), *kinds), rows, output_rows)


def merge(signature_name: str, requests: Sequence[Arrays]) -> Outputs:
    """Returns the inputs of one run for requests whose shapes have the same key."""
    merged = {name: np.concatenate([inputs[name] for inputs in requests]) for name in requests[0]}
    if signature_name == PRODUCT_SIGNATURE and PRODUCT in merged:
        counts = [int(inputs[PRODUCT].max()) + 1 for inputs in requests]
        pictures = [len(inputs[PRODUCT]) for inputs in requests]
        shifts = np.cumsum([0, *counts[:-1]])  # [requests]
        merged[PRODUCT] = merged[PRODUCT] + np.repeat(shifts, pictures)
    return merged


def split(outputs: Arrays, sizes: Sequence[int]) -> list[Outputs] | None:
    """Returns the outputs of each request, or None if they have no such rows.

    Args:
      outputs: The outputs of the merged run.
      sizes: `output_rows` of each request.
    """
    if any(not array.ndim or len(array) != sum(sizes) for array in outputs.values()):
        return None
    ends = np.cumsum(sizes)
    return [
        {name: array[end - size : end] for name, array in outputs.items()}
        for size, end in zip(sizes, ends, strict=True)
    ]


def _has_rows(signature: Any) -> bool:
    """Returns whether the first dimension of all inputs and outputs is free."""
    infos = [*signature.inputs.values(), *signature.outputs.values()]
    shapes = [info.tensor_shape for info in infos]
    return all(shape.dim and shape.dim[0].size == -1 for shape in shapes)


def _count_products(numbers: Any) -> int:
    """Returns P if the numbers are 0 to P-1, each at least once, else 0."""
    if numbers.ndim != 1 or numbers.dtype.kind != 'i' or numbers.min() < 0:
        return 0
    count = int(numbers.max()) + 1
    return count if count <= len(numbers) and len(np.unique(numbers)) == count else 0
