"""Pictures, and what the model predicts for them before its export."""

import io

import numpy as np
from PIL import Image

from trainer.inference.runs import restore_member

SIZE = 28  # pixels


def encode_picture(
    seed: int, *, mode: str = 'RGB', kind: str = 'JPEG', size: tuple[int, int] = (SIZE, SIZE)
) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    pixels[: size[0] // 2] //= 1 + seed  # pictures differ in more than noise
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def model_probabilities(workdir: str, encoded: list[bytes]) -> np.ndarray:
    """Returns the probabilities of the model before its export: float64 [N, C]."""
    model = restore_member(workdir)[0].model
    pixels = np.stack([Image.open(io.BytesIO(data)) for data in encoded])
    logits = model(pixels.astype(np.float32) / 127.5 - 1, training=False).numpy()
    exponents = np.exp(logits.astype(np.float64))
    return exponents / exponents.sum(axis=1, keepdims=True)
