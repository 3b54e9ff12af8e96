"""Draws sample images with their predictions, for TensorBoard. Knows no model."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

_WIDTH = 192  # of a drawing, pixels
_LINE = 14  # height of a line of text, pixels
_CORRECT, _WRONG = (0, 110, 0), (190, 0, 0)


def draw(
    images: npt.NDArray[np.uint8],
    *,
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.floating],
    names: Sequence[str],
) -> npt.NDArray[np.uint8]:
    """Draws each image above its category and its prediction, green if correct, else red.

    Args:
      images: uint8 [N, H, W, 3].
      labels: int64 [N].
      probabilities: float [N, C].
      names: Names of the categories, [C].

    Returns:
      Drawings, uint8 [N, h, w, 3].
    """
    rows = zip(images, labels.tolist(), probabilities, strict=True)
    return np.stack([_draw(image, label, shares, names) for image, label, shares in rows])


def _draw(
    image: npt.NDArray[np.uint8],
    label: int,
    shares: npt.NDArray[np.floating],
    names: Sequence[str],
) -> npt.NDArray[np.uint8]:
    best = int(np.argmax(shares))
    height = round(image.shape[0] * _WIDTH / image.shape[1])
    canvas = Image.new('RGB', (_WIDTH, height + 2 * _LINE), 'white')
    canvas.paste(Image.fromarray(image).resize((_WIDTH, height)))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=11)
    pen.text((2, height), names[label], fill='black', font=font)
    prediction = f'{shares[best]:.2f} {names[best]}'
    pen.text((2, height + _LINE), prediction, fill=_CORRECT if best == label else _WRONG, font=font)
    return np.asarray(canvas)
