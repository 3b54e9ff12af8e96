"""A folder of shards, checked against its manifest, and what a run remembers of it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from catalog import categories, manifest, product_key, storage
from catalog.errors import UserError
from catalog.local_copies import shard_cache, tensorflow_paths
from catalog.manifest import Shard, Split

SAMPLED_SHARDS = 4  # in addition to the first and the last of each split

Verify = Literal['sampled', 'full']


@dataclass(frozen=True)
class DataSet:
    """A checked data set.

    Attributes:
      folder: The folder of the shards.
      manifest: Its manifest.
      categories: The tree of its C classes.
      digest: SHA-256 of the manifest in hex, the identity of the data set.
    """

    folder: str
    manifest: manifest.Manifest
    categories: categories.Categories
    digest: str

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.categories)

    @cached_property
    def keys(self) -> Mapping[int, str]:
        """The key of each product whose id is not an integer, by the number of the key."""
        traced = 'products' in self.manifest.source
        return product_key.load_keys(self.folder) if traced else {}

    def split(self, name: str) -> Split:
        """Returns a split; an unknown name raises a `UserError` that lists the splits."""
        return manifest.get_split(self.manifest, name, folder=self.folder)

    def paths(self, name: str) -> list[str]:
        """Returns the paths of a split's shards, in order, as TensorFlow can read them.

        If it cannot read from `folder`, they are those of a local copy, which is made first.

        Raises:
          UserError: If a copied shard differs from the manifest.
        """
        folder, shards = self.folder, self.split(name).shards
        if not tensorflow_paths.are_opened(folder):
            folder = shard_cache.fill(folder, shards, digest=self.digest)
        return [storage.join(folder, shard.file) for shard in shards]


@dataclass(frozen=True)
class DataInfo:
    """The identity and the class counts of a data set.

    Attributes:
      digest: SHA-256 of the manifest, in hex.
      num_classes: C.
      examples_per_class: Examples of each class in an epoch, copies included [C]: the prior that
        the model learns from. Expected values if `input.sampling_power` is set, see `sampling`.
      natural_prior: Share of each class among all products [C].
    """

    digest: str
    num_classes: int
    examples_per_class: tuple[float, ...]
    natural_prior: tuple[float, ...]


def open_data_set(folder: str, *, verify: Verify = 'sampled') -> DataSet:
    """Opens a data set and checks the files, sizes and digests of every split.

    Args:
      folder: A local folder or one on an object store.
      verify: `full` reads every shard; `sampled` the first, the last and a few between.

    Raises:
      UserError: If the data have no categories; or naming the shard that is missing, has another
        size or another digest.
    """
    document = manifest.read(folder)
    if not document.categories:
        raise UserError(
            f'{folder}: must be a data set with categories, got one that the shard job wrote with '
            '--unlabelled; trainer.predict --input reads it'
        )
    tree = manifest.read_categories(folder, document)
    digest = manifest.digest(folder)
    for split in document.splits.values():
        manifest.check_files(folder, split)
        checked = split.shards if verify == 'full' else _sample(split.shards, seed=digest)
        if verify == 'full' or tensorflow_paths.are_opened(folder):  # a copy is always checked
            check_digests(folder, checked)
    return DataSet(folder, document, tree, digest)


def _sample(shards: Sequence[Shard], *, seed: str) -> list[Shard]:
    if len(shards) <= SAMPLED_SHARDS + 2:
        return list(shards)
    between = random.Random(seed).sample(range(1, len(shards) - 1), SAMPLED_SHARDS)  # noqa: S311
    return [shards[i] for i in [0, *sorted(between), len(shards) - 1]]


def check_digests(folder: str, shards: Sequence[Shard]) -> None:
    """Reads shards and compares their SHA-256 with the manifest.

    Raises:
      UserError: Naming the first shard that differs.
    """
    for shard in shards:
        path = storage.join(folder, shard.file)
        digest = storage.sha256(path)
        if digest != shard.sha256:
            raise UserError(
                f'{path}: SHA-256 must be {shard.sha256} as in the manifest, got {digest}; the '
                'shard is damaged or belongs to another data set: shard the data again'
            )
