"""Exported models, one or several together: loaded, checked, asked about decoded pictures.

Several answer with the mean of their calibrated probabilities. They must know the same categories;
sizes of pictures may differ, each decodes as it was exported to.
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
from catalog.errors import UserError
from trainer import naming
from trainer.export import saved_model as exporting

Size = tuple[int, int]  # height, width in pixels
Decoder = Callable[[tf.Tensor], tf.Tensor]  # string [N] -> uint8 [N, height, width, 3]


@dataclass(frozen=True)
class Model:
    """An exported model.

    Attributes:
      folder: its version folder.
      loaded: the SavedModel.
      size: of the pictures that it takes.
      card: what model_card.json says.
    """

    folder: Path
    loaded: Any
    size: Size
    card: Mapping[str, Any]


@dataclass(frozen=True)
class Models:
    """Exported models that answer together; `tree` is that of all of them."""

    models: tuple[Model, ...]
    tree: Categories

    @property
    def decoders(self) -> dict[Size, Decoder]:
        """A decoder for each size, of the first model that takes it."""
        return {model.size: model.loaded.decode for model in reversed(self.models)}

    @property
    def threshold(self) -> float:
        """The summed confidence from which a level is trusted, of the first model."""
        return float(self.models[0].card['level_threshold'])

    @property
    def most_common(self) -> tuple[int, float]:
        """The category that most products have, by the first model, and its share."""
        found = self.models[0].card['most_common']
        return int(found['category_id']), float(found['share'])

    def probabilities(self, images: Mapping[Size, tf.Tensor], product: tf.Tensor) -> tf.Tensor:
        """The mean of the models' calibrated probabilities of products.

        Args:
          images: uint8 [M, H, W, 3], by size.
          product: int64 [M], which product a picture shows, 0 to P-1, none left out.

        Returns:
          float32 [P, C]
        """
        each = [
            model.loaded.product_probabilities(images[model.size], product) for model in self.models
        ]
        return tf.add_n(each) / len(each)


def load(folders: Sequence[str]) -> Models:
    """Loads models.

    Raises:
      UserError: if a folder is no version of an exported model, or a damaged one, or if the models
        do not know the same categories.
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
                f'{folder}: models that answer together must know the same categories, got others '
                f'than those of {folders[0]}'
            )
    return Models(models, trees[0])


def fingerprint(folders: Sequence[str]) -> str:
    """What models are known again by: the digests of all their files."""
    digest = hashlib.sha256()
    for folder in folders:
        digest.update((Path(folder) / naming.DIGESTS).read_bytes())
    return digest.hexdigest()


def _check(folder: Path) -> None:
    if not (folder / 'saved_model.pb').is_file():
        versions = sorted(p.name for p in folder.glob('*') if (p / 'saved_model.pb').is_file())
        hint = f'; it holds the versions {", ".join(versions)}' if versions else ''
        raise UserError(
            f'{folder}: --model must be a local version folder that trainer.export wrote, got none'
            f'{hint}'
        )
    try:
        said = json.loads((folder / naming.DIGESTS).read_bytes())['sha256']
    except FileNotFoundError as error:
        raise UserError(f'{folder}: must have a {naming.DIGESTS}, got none') from error
    found = exporting.digests(folder)
    damaged = sorted(name for name in said if found.get(name) != said[name])
    if damaged:
        raise UserError(
            f'{folder / damaged[0]}: must have the SHA-256 that {naming.DIGESTS} says; the '
            'model is damaged, copy it again'
        )


def _load(folder: Path) -> Model:
    loaded = tf.saved_model.load(str(folder))
    if not hasattr(loaded, 'product_probabilities') or not hasattr(loaded, 'decode'):
        raise UserError(f'{folder}: was exported by an older version; export it again')
    (function,) = loaded.decode.concrete_functions
    _, height, width, _ = function.structured_outputs.shape
    card = json.loads((folder / naming.MODEL_CARD).read_bytes())
    return Model(folder, loaded, (height, width), card)


def _tree(model: Model) -> Categories:
    return categories.load(str(model.folder / 'assets' / categories.FILE_NAME))
