"""Finds small categories that are spelled nearly like large ones: a typo makes a new category."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

Names = tuple[str, ...]

_FEW = 5  # photos of a misspelled category, at most,
_TIMES = 5  # and the other has at least so many times as many
_MIN_LETTERS = 4  # with fewer, other words are as near


def find_misspelled(counts: Mapping[Names, int]) -> Iterator[tuple[Names, Names]]:
    """Yields small categories, each with the largest category that is spelled nearly like it.

    One letter may differ, be missing, or be exchanged with its neighbour; case, spaces and
    punctuation may differ. Digits must not: `Size 3` is not `Size 4`.

    Args:
      counts: Number of photos by path.
    """
    by_form: dict[str, list[Names]] = defaultdict(list)
    for names in counts:
        for form in _forms(names):
            by_form[form].append(names)
    for names, count in sorted(counts.items()):
        if count > _FEW:
            continue
        near = {other for form in _forms(names) for other in by_form[form] if other != names}
        larger = [
            other
            for other in near
            if counts[other] >= _TIMES * count and _digits(other) == _digits(names)
        ]
        if larger:
            yield names, max(larger, key=lambda other: (counts[other], other))


def _forms(names: Names) -> set[str]:
    """Returns a path without one letter, in all ways, and the path itself."""
    text = '>'.join(re.sub(r'[\W_]', '', name.casefold()) for name in names)
    if len(text) < _MIN_LETTERS:
        return {text}
    return {text, *(text[:place] + text[place + 1 :] for place in range(len(text)))}


def _digits(names: Names) -> list[str]:
    return re.findall(r'\d', '>'.join(names))
