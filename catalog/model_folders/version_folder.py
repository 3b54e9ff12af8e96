"""A version folder of an exported model: its category tree and what its card says."""

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog import categories, storage
from catalog.categories import Categories
from catalog.digests import folder as digests
from catalog.errors import UserError

SAVED_MODEL = 'saved_model.pb'
MODEL_CARD = 'model_card.json'


@dataclass(frozen=True)
class VersionFolder:
    """A version folder.

    Attributes:
      path: The folder.
      tree: The category tree.
      card: The content of model_card.json.
    """

    path: str
    tree: Categories
    card: Mapping[str, Any]

    @functools.cached_property
    def threshold(self) -> float:
        """Summed confidence from which a level is trusted."""
        return float(self.card['level_threshold'])

    @functools.cached_property
    def most_common(self) -> tuple[int | str, float]:
        """The most frequent category and its share."""
        most_common = self.card['most_common']
        return most_common['category_id'], float(most_common['share'])


def open_folder(path: str, *, files: Sequence[str] = (SAVED_MODEL,)) -> VersionFolder:
    """Opens a version folder and verifies its digests.

    Args:
      path: The folder.
      files: The model is in one of these files.

    Raises:
      UserError: If it is not a version folder, or is damaged.
    """
    check_folder(path, files=files)
    if digests.verify(path) == 'unverified':
        raise UserError(f'{path}: must have a {digests.FILE_NAME}, got none')
    tree = categories.load(storage.join(path, 'assets', categories.FILE_NAME))
    card = json.loads(storage.read_bytes(storage.join(path, MODEL_CARD)))
    return VersionFolder(path, tree, card)


def check_folder(path: str, *, files: Sequence[str] = (SAVED_MODEL,)) -> None:
    """Checks that a folder has one of the files of a model.

    Raises:
      UserError: If not; names the versions in it, if there are some.
    """
    if any(storage.exists(storage.join(path, name)) for name in files):
        return
    found = {
        file.removesuffix(f'/{name}').rpartition('/')[2]
        for name in files
        for file in storage.glob_below(path, f'*/{name}')
    }
    hint = f'; it holds the versions {", ".join(sorted(found))}' if found else ''
    raise UserError(
        f'{path}: --model must be a version folder that trainer.export wrote, got another '
        f'folder{hint}'
    )


def fingerprint(folders: Sequence[str]) -> str:
    """Returns the identity of models: a SHA-256 over the digests of all their files, in hex."""
    digest = hashlib.sha256()
    for folder in folders:
        digest.update(storage.read_bytes(storage.join(folder, digests.FILE_NAME)))
    return digest.hexdigest()
