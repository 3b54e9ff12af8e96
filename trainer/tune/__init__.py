"""The hyperparameter search, `python -m trainer.tune`; space files import its names from here."""

from trainer.tune.search_space import Choice, Range, Space

__all__ = ['Choice', 'Range', 'Space']
