"""Lists the photos in folders. The rules are documented in `catalog.sources.photo_files`."""

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np

from catalog import product_key, storage
from catalog.categories import Categories
from catalog.listings.listing import Listing, NoKnownCategory, Photos, pack_texts
from catalog.photos import category_folders, folder_contents
from catalog.photos.category_folders import parse_number
from catalog.photos.confined import Rules
from catalog.schema.absent import ABOVE_CATEGORIES, UNKNOWN_CATEGORY
from catalog.terminal import counted


def list_category_folders(folder: str, tree: Categories, rules: Rules) -> list[Listing]:
    """Returns a listing per category folder, and of the loose photos, which have no category.

    Raises:
      NoKnownCategory: If no folder names a category.
      UserError: If a folder is a link to outside.
    """
    listings, known, unknown = [], 0, []
    for found in category_folders.find_folders(folder, tree, rules):
        category_id = found.category_id
        if category_id is None:
            category_id = ABOVE_CATEGORIES if found.loose else UNKNOWN_CATEGORY
        known += category_id in tree.label_by_id
        listing = Listing(
            storage.join(folder, found.within) if found.within else folder,
            root=folder,
            rules=rules,
            category_id=category_id,
            loose=found.loose,
            inner=found.inner,
        )
        if found.within and category_id not in tree.label_by_id:
            unknown.append(listing)
        listings.append(listing)
    if unknown and not known and (text := describe_unknown(unknown, tree)):
        raise NoKnownCategory(f'{text}; rename or move them')
    return listings


def describe_unknown(listings: Sequence[Listing], tree: Categories) -> str:
    """Returns which folders with photos name no category, and the nearest ones; '' if none."""
    lost = [
        (listing.path.removeprefix(listing.root).strip('/'), count)
        for listing in listings
        if not (listing.category_id in tree.label_by_id or listing.path == listing.root)
        and not listing.is_list()
        and (count := len(list_photos(listing)))
    ]
    if not lost:
        return ''
    named = ', '.join(
        f'{within!r} ({counted(count, "photo")}; the nearest category is '
        f'{tree.nearest_path(within.replace("/", " > "))!r})'
        for within, count in lost[:3]
    )
    more = f' and {len(lost) - 3:,} more' if len(lost) > 3 else ''
    return (
        f'{listings[0].root}: each folder must be named by a category_id or by names of the '
        f'category tree, got {named}{more}'
    )


def list_photos(listing: Listing) -> Photos:
    """Returns the photos of a folder."""
    if listing.loose:
        contents = folder_contents.loose_photos(listing.path)
    else:
        contents = folder_contents.contents_below(
            listing.path,
            root=listing.root,
            allow_outside=listing.rules.allow_outside,
            without=listing.inner,
        )
    names, passed_over = contents.files, contents.passed_over
    within = listing.path.removeprefix(listing.root).strip('/')
    # The paths are sorted, so the photos of one folder are neighbours.
    products = [name.partition('/')[0] for name in names]
    first = [n for n, product in enumerate(products) if not n or product != products[n - 1]]
    ids, keys = [], []
    for product in (products[n] for n in first):
        number = parse_number(product.partition('.')[0]) if listing.numbered else None
        key = '/'.join(part for part in (listing.prefix, within, product) if part)
        ids.append(product_key.product_id(product_key.PATH, key) if number is None else number)
        keys.append(product_key.encode(key) if number is None else b'')
    return Photos(
        folder=listing.path,
        names=pack_texts([os.fsencode(name) for name in names]),
        first=np.array([*first, len(names)], np.int64),
        product_ids=np.array(ids, np.int64),
        keys=pack_texts(keys),
        category_ids=np.full(len(first), listing.category_id, np.int64),
        are_from_paths=np.ones(len(first), bool),
        notes=Counter(files=passed_over),
    )
