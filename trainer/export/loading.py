"""Loads and checks exported models and computes their predictions, of one or of several.

Several models predict with the mean of their calibrated probabilities. They must have the same
categories; their image sizes may differ.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from catalog import categories
from catalog.categories import Categories
from catalog.digests import folder as digests
from catalog.errors import UserError
from trainer import naming
from trainer.workdir.literal_path import literal_path

Size = tuple[int, int]  # height, width in pixels
Decoder = Callable[[tf.Tensor], tf.Tensor]  # string [N] -> uint8 [N, height, width, 3]


@dataclass(frozen=True)
class ExportedModel:
    """An exported model.

    Attributes:
      folder: Its version folder.
      loaded: The SavedModel.
      size: Height and width of its images.
      card: The content of model_card.json.
    """

    folder: Path
    loaded: Any
    size: Size
    card: Mapping[str, Any]


@dataclass(frozen=True)
class ExportedModels:
    """Exported models that predict together, all with the same category tree."""

    models: tuple[ExportedModel, ...]
    tree: Categories

    @property
    def decoders(self) -> dict[Size, Decoder]:
        """A decoder for each image size, of the first model with this size."""
        return {model.size: model.loaded.decode for model in reversed(self.models)}

    @property
    def threshold(self) -> float:
        """Summed confidence from which a level is trusted, of the first model."""
        return float(self.models[0].card['level_threshold'])

    @property
    def most_common(self) -> tuple[int | str, float]:
        """The most frequent category and its share, from the card of the first model."""
        most_common = self.models[0].card['most_common']
        return most_common['category_id'], float(most_common['share'])

    def probabilities(self, images: Mapping[Size, tf.Tensor], product: tf.Tensor) -> tf.Tensor:
        """Computes the mean of the models' calibrated probabilities of products.

        Args:
          images: uint8 [M, H, W, 3], by size.
          product: int64 [M], the product of each picture, every number from 0 to P-1.

        Returns:
          float32 [P, C]
        """
        each = [
            model.loaded.product_probabilities(images[model.size], product) for model in self.models
        ]
        return tf.add_n(each) / len(each)


def load(folders: Sequence[str]) -> ExportedModels:
    """Loads exported models.

    Raises:
      UserError: If a folder is not a version of an exported model, or is damaged, or the models
        have different categories.
    """
    if not folders:
        raise UserError('--model must name a version folder of an exported model, got none')
    for folder in folders:
        _check(Path(folder))
    models = tuple(_load(Path(folder)) for folder in folders)
    trees = [_tree(model) for model in models]
    for folder, tree in zip(folders, trees, strict=True):
        if tree.sha256 != trees[0].sha256:
            raise UserError(
                f'{folder}: models that predict together must have the same categories, got others '
                f'than those of {folders[0]}'
            )
    return ExportedModels(models, trees[0])


def fingerprint(folders: Sequence[str]) -> str:
    """Returns the identity of models: a SHA-256 over the digests of all their files, in hex."""
    digest = hashlib.sha256()
    for folder in folders:
        digest.update((Path(folder) / digests.FILE_NAME).read_bytes())
    return digest.hexdigest()


def _check(folder: Path) -> None:
    if not (folder / 'saved_model.pb').is_file():
        versions = sorted(p.name for p in folder.glob('*') if (p / 'saved_model.pb').is_file())
        hint = f'; it holds the versions {", ".join(versions)}' if versions else ''
        raise UserError(
            f'{folder}: --model must be a local version folder that trainer.export wrote, got '
            f'another folder{hint}'
        )
    if digests.verify(str(folder)) == 'unverified':
        raise UserError(f'{folder}: must have a {digests.FILE_NAME}, got none')


def _load(folder: Path) -> ExportedModel:
    with literal_path(str(folder)) as readable:
        loaded = tf.saved_model.load(readable)
    if not hasattr(loaded, 'product_probabilities') or not hasattr(loaded, 'decode'):
        raise UserError(
            f'{folder}: was exported by an older version of trainer.export; export it again'
        )
    (function,) = loaded.decode.concrete_functions
    _, height, width, _ = function.structured_outputs.shape
    card = json.loads((folder / naming.MODEL_CARD).read_bytes())
    return ExportedModel(folder, loaded, (height, width), card)


def _tree(model: ExportedModel) -> Categories:
    return categories.load(str(model.folder / 'assets' / categories.FILE_NAME))
