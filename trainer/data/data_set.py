"""A folder of shards, checked against its manifest. No TensorFlow."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from catalog import categories, manifest, storage
from catalog.errors import UserError
from catalog.manifest import Shard, Split

SAMPLED_SHARDS = 4  # beside the first and the last of each split

Verify = Literal['sampled', 'full']


@dataclass(frozen=True)
class DataSet:
    """A checked data set.

    Attributes:
      folder: where the shards lie.
      manifest: what it says of itself.
      categories: the tree of its C classes.
      digest: the manifest's SHA-256 in hex, the data set's identity.
    """

    folder: str
    manifest: manifest.Manifest
    categories: categories.Categories
    digest: str

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.categories)

    def split(self, name: str) -> Split:
        """A split; a `UserError` names those there are."""
        return manifest.get_split(self.manifest, name, folder=self.folder)

    def paths(self, name: str) -> list[str]:
        """The paths of a split's shards, in order."""
        return [storage.join(self.folder, shard.file) for shard in self.split(name).shards]


@dataclass(frozen=True)
class DataInfo:
    """What a run remembers of the data it learned from.

    Attributes:
      digest: the manifest's SHA-256 in hex.
      num_classes: C.
      examples_per_class: that an epoch shows, copies included [C]: of pictures, or of records where
        an example is a product: the prior that was learned from. Expectations where reading
        samples, see trainer/sampling.py.
      natural_prior: class shares of all products [C].
    """

    digest: str
    num_classes: int
    examples_per_class: tuple[float, ...]
    natural_prior: tuple[float, ...]


def open_data_set(folder: str, *, verify: Verify = 'sampled') -> DataSet:
    """Opens a data set and checks files, sizes and digests of every split.

    Args:
      folder: local or `gs://`.
      verify: `full` reads every shard; `sampled` the first, the last and a few between.

    Raises:
      UserError: naming the shard that is missing, of another size or of other bytes.
    """
    found = manifest.read(folder)
    tree = manifest.read_categories(folder, found)
    digest = manifest.digest(folder)
    for split in found.splits.values():
        manifest.check_files(folder, split)
        chosen = split.shards if verify == 'full' else _sample(split.shards, seed=digest)
        check_digests(folder, chosen)
    return DataSet(folder, found, tree, digest)


def _sample(shards: Sequence[Shard], *, seed: str) -> list[Shard]:
    if len(shards) <= SAMPLED_SHARDS + 2:
        return list(shards)
    between = random.Random(seed).sample(range(1, len(shards) - 1), SAMPLED_SHARDS)  # noqa: S311
    return [shards[i] for i in [0, *sorted(between), len(shards) - 1]]


def check_digests(folder: str, shards: Sequence[Shard]) -> None:
    """Reads shards and compares their SHA-256.

    Raises:
      UserError: naming the first shard that differs.
    """
    for shard in shards:
        path = storage.join(folder, shard.file)
        found = storage.sha256(path)
        if found != shard.sha256:
            raise UserError(
                f'{path}: its SHA-256 must be {shard.sha256} as the manifest says, got {found}; '
                'the shard is damaged or of another data set: make the data set again'
            )
