"""Loads the photos of a listing once."""

import functools

from catalog.listings import folder_photos, list_photos
from catalog.listings.listing import Listing, Photos


@functools.cache  # for the life of a worker: every shard has photos of most categories
def load_photos(listing: Listing) -> Photos:
    """Returns the photos of a listing.

    Raises:
      UserError: If a list file is invalid.
    """
    return (list_photos if listing.is_list() else folder_photos).list_photos(listing)
