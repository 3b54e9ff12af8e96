"""Compares predictions with the categories that an input gives."""

from collections.abc import Sequence

from catalog.categories import Categories
from catalog.predictions.columns import ProductPrediction


def true_category(category: int | str | None, tree: Categories) -> int | str | None:
    """Returns the shop's id of a category; None if there is none, or if the tree has it not.

    Args:
      category: A category id, or a text: a code, or a path of names.
      tree: The category tree of the model.
    """
    label = None if category is None else tree.find(category)
    return None if label is None else tree.shown_id(label)


def count_correct(
    predictions: Sequence[ProductPrediction], truth: Sequence[int | str | None]
) -> tuple[int, int]:
    """Returns the number of products with a true category, and of those predicted correctly."""
    pairs = zip(predictions, truth, strict=True)
    correct = [prediction.category_ids[0] == true for prediction, true in pairs if true is not None]
    return len(correct), sum(correct)
