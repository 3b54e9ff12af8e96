"""What one example of a run is, and how batches of examples are drawn. No TensorFlow.

Both follow from the config once, here, and are then passed as values.
"""

from dataclasses import dataclass
from typing import Literal

from catalog.manifest import Split
from trainer.config import InputConfig, TrainConfig


@dataclass(frozen=True)
class ExampleSpec:
    """One example: a picture, or a product with several views; pixels, or features from a cache.

    Attributes:
      max_views: Views of a product that are read, its first ones; None if an example is one
        picture.
      is_cached: Whether the views are features that `trainer.features` wrote.
    """

    max_views: int | None = None
    is_cached: bool = False

    @property
    def is_product(self) -> bool:
        """Whether an example is a product."""
        return self.max_views is not None

    @property
    def unit(self) -> Literal['pictures', 'products']:
        """The plural noun for examples, as in the metric `pictures_per_second`."""
        return 'products' if self.is_product else 'pictures'

    @property
    def column(self) -> Literal['image', 'features']:
        """The name of the column of a batch that holds the views."""
        return 'features' if self.is_cached else 'image'

    @property
    def views(self) -> int:
        """Places for views in an example."""
        return self.max_views or 1

    def count(self, split: Split) -> int:
        """Returns the number of examples in the shards of a split, copies included."""
        return split.records if self.is_product else split.pictures

    def count_per_class(self, split: Split) -> tuple[int, ...]:
        """Returns the examples of each class in the shards of a split, copies included [C]."""
        return split.records_per_class if self.is_product else split.pictures_per_class


@dataclass(frozen=True)
class BatchSpec:
    """How batches are drawn.

    Attributes:
      example: What one example is.
      input: Image size, shuffling and sampling.
      batch_size: Examples in a batch over all workers (the global batch).
      seed: Seed of the order of the examples.
    """

    example: ExampleSpec
    input: InputConfig
    batch_size: int
    seed: int


def example_spec(config: TrainConfig) -> ExampleSpec:
    """Returns what an example of a run is."""
    fusion = config.model.fusion
    return ExampleSpec(fusion.max_views if fusion.is_on else None, config.input.features)


def batch_spec(config: TrainConfig) -> BatchSpec:
    """Returns how a run draws its batches."""
    return BatchSpec(example_spec(config), config.input, config.batch_size, config.seed)
