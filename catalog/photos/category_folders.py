"""Finds the categories that folders of photos name.

`DIR/7/`, `DIR/LEVEL 1 > LEVEL 2 > LEVEL 3/`, `DIR/LEVEL 1/LEVEL 2/LEVEL 3/` and `DIR/LEVEL 3/` name
a category: by its id, by the names on its path in one folder or one inside the other, or by the end
of its path where no other path ends so.

How names are compared is documented in `catalog.trees.name_search`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from catalog import storage
from catalog.categories import Categories
from catalog.errors import UserError
from catalog.photos import folder_contents
from catalog.photos.confined import Rules, is_inside
from catalog.trees.name_search import Names, split_names

_MAX_ID_DIGITS = 18  # fits an int64


@dataclass(frozen=True)
class CategoryFolder:
    """A folder of photos.

    Attributes:
      within: Its path below the input.
      category_id: None if it names no category.
      inner: Names of folders in it that have rows of their own.
      loose: Whether only the photos directly in it are meant.
    """

    within: str
    category_id: int | None
    inner: frozenset[str] = frozenset()
    loose: bool = False


def find_folders(folder: str, tree: Categories, rules: Rules) -> Iterator[CategoryFolder]:
    """Yields the folders that contain the photos of a folder, without overlaps.

    The first is the folder itself, with its loose photos, which have no category.

    Raises:
      UserError: If a folder is a link to outside.
    """
    yield CategoryFolder('', category_id=None, loose=True)
    for name in _folders(folder, '', rules):
        yield from _find_below(folder, name, split_names(name), tree, rules)


def _find_below(
    root: str, within: str, path: Names, tree: Categories, rules: Rules
) -> Iterator[CategoryFolder]:
    """Yields a folder and those in it. `path` is its path of names in the tree, if it has one."""
    names = tree.search
    if not names.is_node(path):
        own = within.rpartition('/')[2]
        category_id = tree.id_of(tree.find(own))
        yield CategoryFolder(within, parse_number(own) if category_id is None else category_id)
        return
    children = {name: (*path, *split_names(name)) for name in _folders(root, within, rules)}
    category_id = tree.id_of(names.find_path(path))
    inner = {
        name: child
        for name, child in children.items()
        if names.is_node(child) or category_id is None
    }
    if category_id is None and not any(map(names.is_node, inner.values())):
        end = tree.id_of(names.find_end(path))
        if end is not None:  # `Wine` is a parent, but here the category `Drinks > Other > Wine`
            yield CategoryFolder(within, end)
            return
    if inner:
        yield CategoryFolder(within, category_id, inner=frozenset(inner), loose=category_id is None)
    else:
        yield CategoryFolder(within, category_id)
    for name, child in inner.items():
        yield from _find_below(root, f'{within}/{name}', child, tree, rules)


def _folders(root: str, within: str, rules: Rules) -> list[str]:
    """Returns the names of the folders in a folder.

    Raises:
      UserError: If one is a link to outside.
    """
    found = folder_contents.folders_in(storage.join(root, within) if within else root)
    for name in found:
        path = storage.join(root, within, name) if within else storage.join(root, name)
        if not (storage.is_remote(path) or rules.allow_outside or is_inside(path, root)):
            raise UserError(
                f'{path}: must be a folder below {root}, got a link to another; '
                '--allow_outside permits this'
            )
    return found


def parse_number(name: str) -> int | None:
    """Returns a name as a number, or None if it is not one."""
    if name.isascii() and name.isdecimal() and len(name) <= _MAX_ID_DIGITS:
        return int(name)
    return None
