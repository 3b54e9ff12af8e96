"""Defines the flags of the columns of a row. A command shows them in its help by
`flags.adopt_module_key_flags`.
"""

from absl import flags

from catalog.predictions.columns import Columns

_TOP_K = flags.DEFINE_integer('top_k', 1, 'Number of categories for each product.')
_CONFIDENCE = flags.DEFINE_bool('confidence', False, 'Also write the confidence of each category.')
_LEVEL = flags.DEFINE_bool(
    'level', False, 'Also write the deepest level that reaches the threshold.'
)
_TRUE_CATEGORY = flags.DEFINE_bool(
    'true_category', False, 'Also write the category that the input gives, if it is labelled.'
)


def columns() -> Columns:
    """Returns the columns that the flags ask for.

    Raises:
      UserError: If a value is out of range.
    """
    return Columns(
        _TOP_K.value,
        confidence=_CONFIDENCE.value,
        level=_LEVEL.value,
        true_category=_TRUE_CATEGORY.value,
    )
