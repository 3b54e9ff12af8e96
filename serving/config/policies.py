"""Version policies: which of the version folders of a model are served."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Latest:
    """The highest versions."""

    count: int = 1


@dataclass(frozen=True)
class All:
    """Every version."""


@dataclass(frozen=True)
class Specific:
    """The versions with these numbers."""

    versions: frozenset[int]


Policy = Latest | All | Specific


def select(policy: Policy, versions: Collection[int]) -> list[int]:
    """Returns the versions to serve, the highest first."""
    ordered = sorted(versions, reverse=True)
    match policy:
        case Latest(count):
            return ordered[:count]
        case All():
            return ordered
        case Specific(numbers):
            return [version for version in ordered if version in numbers]
