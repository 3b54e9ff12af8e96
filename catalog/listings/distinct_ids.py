"""Gives the products in folders ids that do not collide, and do not depend on other folders."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from catalog import storage
from catalog.errors import UserError
from catalog.listings.listing import Int64s, Listing
from catalog.listings.loading import load_photos


def number_products(listings: Sequence[Listing], prefix: str) -> tuple[list[Listing], str]:
    """Returns the listings of an input folder of which no two products have the same id.

    If two products have the same number as their names, such as `7/1.jpg` and `8/1.jpg`, the names
    are no ids, and all products have their paths as ids.

    Args:
      listings: All listings of the folder.
      prefix: Put before the paths. If there is one, no number is an id.

    Returns:
      The listings, and the two products whose numbers are the same, or ''.
    """
    twins = ''
    if not prefix:
        numbers, owners = _path_ids(listings, numbers_only=True)
        same = _first_repeat(numbers)
        if same is not None:
            twins = ' and '.join(_product_path(listings, owners[place]) for place in same)
    numbered = not (prefix or twins)
    changed = [
        dataclasses.replace(listing, numbered=numbered, prefix=prefix) for listing in listings
    ]
    return changed, twins


def check_distinct(inputs: Sequence[Sequence[Listing]]) -> None:
    """Checks that products of different folders have different ids.

    Ids that a list gives are the shop's own, and are not checked here.

    Args:
      inputs: The listings of each input.

    Raises:
      UserError: Naming two products with the same id.
    """
    by_root: dict[str, list[Listing]] = {}
    for listings in inputs:
        root = listings[0].photo_root()
        root = root if storage.is_remote(root) else os.path.realpath(root)
        by_root.setdefault(root, []).extend(listings)
    if len(by_root) == 1:
        return
    every = [listing for listings in by_root.values() for listing in listings]
    found, owners = _path_ids(every, numbers_only=False)
    roots = np.repeat(np.arange(len(by_root)), [len(listings) for listings in by_root.values()])
    same = _first_repeat(found, roots[owners[:, 0]])
    if same is None:
        return
    one, other = (_product_path(every, owners[place]) for place in same)
    owner, product = owners[same[0]].tolist()
    hint = '--folder_in_key begins the ids of photos with the name of their folder'
    if all(every[int(owners[place, 0])].is_list() for place in same):
        hint = 'give the lists a column product'
    raise UserError(
        '--input: products of several folders must have different numbers or paths below these '
        f'folders, but {one} and {other} have the same id, '
        f'{load_photos(every[owner]).shown_id(product)!r}; {hint}'
    )


def _path_ids(listings: Sequence[Listing], *, numbers_only: bool) -> tuple[Int64s, Int64s]:
    """Returns the product ids that follow from paths, int64 [N], and their places, int64 [N, 2].

    A place is the number of the listing, and of the product in it.
    """
    ids, places = [np.zeros(0, np.int64)], [np.zeros((0, 2), np.int64)]
    for owner, listing in enumerate(listings):
        photos = load_photos(listing)
        kept = photos.are_from_paths
        if numbers_only:
            kept = kept & (np.diff(photos.keys.ends, prepend=0) == 0)
        products = np.flatnonzero(kept)
        ids.append(photos.product_ids[products])
        places.append(np.stack([np.full(len(products), owner), products], axis=1))
    return np.concatenate(ids), np.concatenate(places)


def _first_repeat(ids: Int64s, roots: Int64s | None = None) -> tuple[int, int] | None:
    """Returns the places of the first two equal ids, of different roots if these are given."""
    order = np.argsort(ids, kind='stable')
    same = ids[order][1:] == ids[order][:-1]
    if roots is not None:
        same &= roots[order][1:] != roots[order][:-1]
    pairs = np.flatnonzero(same)
    if not len(pairs):
        return None
    first = int(pairs[np.argmin(order[pairs])])
    return int(order[first]), int(order[first + 1])


def _product_path(listings: Sequence[Listing], place: Int64s) -> str:
    """Returns the path of the first photo of a product."""
    owner, product = place.tolist()
    photos = load_photos(listings[owner])
    return photos.path(int(photos.first[product]))
