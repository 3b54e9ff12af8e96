"""The fields of a config that a search varies, and their possible values.

A space file defines `get_space() -> Space`, a mapping from fields such as
`optimizer.learning_rate` to a `Choice` or a `Range`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog.errors import UserError
from trainer.config import TrainConfig, files, overrides

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Attributes:
      values: At least two different values, of any type that a config field has.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple) or len(set(map(text_of, self.values))) < 2:
            raise UserError(
                f'Choice: values must be a tuple of at least two different values, got '
                f'{self.values}'
            )


@dataclass(frozen=True)
class Range:
    """A number between two bounds, both included; an integer if both bounds are integers.

    Attributes:
      low: Smallest value.
      high: Largest value.
      log: Whether to draw uniformly on a logarithmic scale.
      step: Distance between neighbouring values; None for 1 between integers, and for any float.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise UserError(
                f'Range: low must be below high, and above 0 with log, got {self.low} and '
                f'{self.high}'
            )
        if self.log and self.step is not None:
            raise UserError(f'Range: step must be None with log, got {self.step}')


Space = Mapping[str, Choice | Range]


def load(path: str, config: TrainConfig) -> Space:
    """Loads a space file and checks its fields against a config.

    Raises:
      UserError: Naming a field that the config does not have, or an invalid value of a field.
    """
    space = files.call_in_file(path, 'get_space', flag='--space', example='configs/spaces/tiny.py')
    if not isinstance(space, dict) or not space:
        raise UserError(
            f'{path}: get_space() must return a dictionary of fields and their values, '
            f'got {space!r}'
        )
    document = files.to_document(config)
    for name, values in space.items():
        if not isinstance(values, Choice | Range):
            raise UserError(f'{path}: {name} must be a Choice or a Range, got {values!r}')
        try:
            overrides.apply_overrides(document, [f'{name}=0'], TrainConfig)
        except UserError as error:
            raise UserError(f'{path}: {error}') from error
    return space


def draw(trial: 'optuna.Trial', space: Space) -> list[str]:
    """Draws the values of a trial, as overrides of the config: `a.b=value`."""
    return [f'{name}={_draw_one(trial, name, values)}' for name, values in space.items()]


def _draw_one(trial: 'optuna.Trial', name: str, values: Choice | Range) -> str:
    match values:
        case Choice(options):
            texts = [text_of(option) for option in options]
            return str(trial.suggest_categorical(name, texts))
        case Range(int(low), int(high), log, step):
            return str(trial.suggest_int(name, low, high, log=log, step=int(step or 1)))
        case Range(low, high, log, step):
            return repr(trial.suggest_float(name, low, high, log=log, step=step))


def text_of(value: Any) -> str:
    """Returns a value of a `Choice` as in an override of the config."""
    return value if isinstance(value, str) else json.dumps(value)


def describe(space: Space) -> dict[str, str]:
    """Returns a space as strings, to compare it with the space that a search began with."""
    return {name: str(values) for name, values in space.items()}
