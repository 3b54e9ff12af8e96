"""Which fields of a config a search varies, and between what.

A space file defines `get_space() -> Space`: fields, `optimizer.learning_rate` and the like, to what
they may be.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog.errors import UserError
from trainer.config import TrainConfig, files, overrides
from trainer.config import files as config_files

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Choice:
    """One of some values, of any type that a config has."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple) or len(set(map(_text, self.values))) < 2:
            raise UserError(f'Choice: values must be two different ones or more, got {self.values}')


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, whole where both are.

    Attributes:
      low: the smallest.
      high: the largest.
      log: as likely to lie between 1 and 10 as between 10 and 100.
      step: between neighbours; None for 1 of whole numbers, none of others.
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
    """The space of a file, each of its fields one of the config.

    Raises:
      UserError: naming the field that is none, or what is no space.
    """
    space = files.value_of(path, 'get_space', flag='--space', like='configs/spaces/tiny.py')
    if not isinstance(space, dict) or not space:
        raise UserError(f'{path}: get_space() must give fields and what they may be, got {space!r}')
    document = json.loads(config_files.to_json(config))
    for name, values in space.items():
        if not isinstance(values, Choice | Range):
            raise UserError(f'{path}: {name} must be a Choice or a Range, got {values!r}')
        try:
            overrides.apply(document, [f'{name}=0'])
        except UserError as error:
            raise UserError(f'{path}: {error}') from error
    return space


def draw(trial: 'optuna.Trial', space: Space) -> list[str]:
    """What a trial is to try, as overrides of the config: `a.b=value`."""
    return [f'{name}={_draw_one(trial, name, values)}' for name, values in space.items()]


def _draw_one(trial: 'optuna.Trial', name: str, values: Choice | Range) -> str:
    match values:
        case Choice(options):
            texts = [_text(option) for option in options]
            return str(trial.suggest_categorical(name, texts))
        case Range(int(low), int(high), log, step):
            return str(trial.suggest_int(name, low, high, log=log, step=int(step or 1)))
        case Range(low, high, log, step):
            return repr(trial.suggest_float(name, low, high, log=log, step=step))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def told(space: Space) -> dict[str, str]:
    """The space in words, by which a search knows its own again."""
    return {name: str(values) for name, values in space.items()}
