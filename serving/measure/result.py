"""What is measured of a model. Imports no TensorFlow."""

from dataclasses import dataclass

BATCHES = (1, 16)  # pictures in a run


@dataclass(frozen=True)
class Measurement:
    """What a model costs.

    Attributes:
      description: Its runtime and precision.
      size_bytes: Size of its files.
      load_seconds: Time to load it.
      picture_seconds: Median time of a picture, decoding included, for each of `BATCHES`.
      flops: Floating-point operations of a picture; a multiplication and an addition are two.
      memory_bytes: Largest memory of the process, less what it had before the model was loaded.
      accuracy: Share of the pictures that it classifies right; None without a data set.
    """

    description: str
    size_bytes: int
    load_seconds: float
    picture_seconds: tuple[float, ...]
    flops: int
    memory_bytes: int
    accuracy: float | None
