"""What a search found: every trial with what it tried, and the best of them as flags."""

import dataclasses
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from catalog import storage
from trainer.report import tables
from trainer.tune.space import Space

JSON = 'report.json'

_STATES = {
    TrialState.COMPLETE: 'done',
    TrialState.PRUNED: 'pruned',
    TrialState.FAIL: 'failed',
    TrialState.RUNNING: 'cut off',
}


@dataclass(frozen=True)
class Tried:
    """A trial.

    Attributes:
      number: from 0.
      state: `done`, `pruned`, `failed` or `cut off`.
      value: of the metric at its best evaluation; None before the first.
      step: of that evaluation.
      steps: of its last evaluation.
      values: by field, as on the command line.
      why: it failed.
    """

    number: int
    state: str
    value: float | None
    step: int | None
    steps: int
    values: dict[str, Any]
    why: str = ''


@dataclass(frozen=True)
class Report:
    """A search.

    Attributes:
      metric: that it went by, on validation.
      trials: all of them.
      best: of those that are done; None where none is.
    """

    metric: str
    trials: tuple[Tried, ...]
    best: Tried | None


def of(study: optuna.Study, space: Space, *, metric: str) -> Report:
    """The report of a study as it stands."""
    tried = tuple(_tried(study, trial, space) for trial in study.trials)
    done = any(trial.state == 'done' for trial in tried)
    return Report(metric, tried, tried[study.best_trial.number] if done else None)


def _tried(study: optuna.Study, trial: FrozenTrial, space: Space) -> Tried:
    step, value = best_of(study, trial.number) if trial.intermediate_values else (None, None)
    return Tried(
        number=trial.number,
        state=_STATES[trial.state],
        value=value,
        step=step,
        steps=max(trial.intermediate_values, default=0),
        values={name: trial.params[name] for name in space if name in trial.params},
        why=trial.user_attrs.get('why', ''),
    )


def best_of(study: optuna.Study, number: int) -> tuple[int, float]:
    """The step and value of a trial's best evaluation, the first of equal ones."""
    sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
    values: dict[int, float] = study.trials[number].intermediate_values
    return min(values.items(), key=lambda item: (sign * item[1], item[0]))


def write(report: Report, folder: str) -> None:
    """Writes `report.json`."""
    document = json.dumps(dataclasses.asdict(report), indent=1)
    storage.write_bytes(storage.join(folder, JSON), f'{document}\n'.encode())


def line(trial: Tried, *, metric: str) -> str:
    """A trial in one line, as it ends."""
    figure = 'nothing' if trial.value is None else f'{metric} {trial.value:.4f}'
    tried = ' '.join(f'{name}={_short(value)}' for name, value in trial.values.items())
    return f'trial {trial.number} {trial.state}: {figure} after {trial.steps:,} steps with {tried}'


def text(report: Report, *, command: Sequence[str]) -> str:
    """A table for the terminal, and the command that trains with the best values.

    Args:
      report: of the search.
      command: of trainer.task, without what the best trial adds.
    """
    names = list(report.trials[0].values)
    header = ['trial', '', report.metric, 'at step', 'of', *names]
    table = tables.format_table([_row(trial, names) for trial in report.trials], header=header)
    failed = [f'trial {trial.number} failed: {trial.why}' for trial in report.trials if trial.why]
    if report.best is None:
        return '\n'.join([table, *failed, 'no trial is done: there is no best'])
    flags = [f'--config.{name}={value}' for name, value in report.best.values.items()]
    line = ' '.join(shlex.quote(part) for part in [*command, *flags])
    return '\n'.join([table, *failed, '', f'best: trial {report.best.number}', line])


def _row(trial: Tried, names: Sequence[str]) -> list[str]:
    return [
        str(trial.number),
        trial.state,
        '-' if trial.value is None else f'{trial.value:.4f}',
        '-' if trial.step is None else f'{trial.step:,}',
        f'{trial.steps:,}',
        *(_short(trial.values.get(name)) for name in names),
    ]


def _short(value: Any) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)
