"""Numbers in place of a category or a group that a product does not have."""

NO_GROUP = -(2**63)
NO_CATEGORY = -(2**63)
UNKNOWN_CATEGORY = NO_CATEGORY + 1  # of a name that the category tree does not have
ABOVE_CATEGORIES = NO_CATEGORY + 2  # of a photo that is in the folder of a parent


def is_category_id(number: int) -> bool:
    """Returns whether a number is a category id, and none that is in place of one."""
    return number > ABOVE_CATEGORIES
