"""The results of a search: every trial with its values, and the best trial as flags."""

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
from trainer.tune.search_space import Space

JSON = 'report.json'

_STATES = {
    TrialState.COMPLETE: 'done',
    TrialState.PRUNED: 'pruned',
    TrialState.FAIL: 'failed',
    TrialState.RUNNING: 'cut off',
}


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial.

    Attributes:
      number: Number of the trial, from 0.
      state: `done`, `pruned`, `failed` or `cut off`.
      value: The metric at the best evaluation; None before the first evaluation.
      step: Step of the best evaluation.
      steps: Step of the last evaluation.
      values: Values by field, as on the command line.
      why: The reason for the failure.
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
    """The results of a search.

    Attributes:
      metric: The metric of validation that the search optimizes.
      trials: All trials.
      best: The best of the trials that are done; None if no trial is done.
    """

    metric: str
    trials: tuple[TrialResult, ...]
    best: TrialResult | None


def build_report(study: optuna.Study, space: Space, *, metric: str) -> Report:
    """Builds the report of a study in its current state."""
    trials = tuple(_result(study, trial, space) for trial in study.trials)
    done = any(trial.state == 'done' for trial in trials)
    return Report(metric, trials, trials[study.best_trial.number] if done else None)


def _result(study: optuna.Study, trial: FrozenTrial, space: Space) -> TrialResult:
    evaluated = bool(trial.intermediate_values)
    step, value = best_evaluation(study, trial.number) if evaluated else (None, None)
    return TrialResult(
        number=trial.number,
        state=_STATES[trial.state],
        value=value,
        step=step,
        steps=max(trial.intermediate_values, default=0),
        values={name: trial.params[name] for name in space if name in trial.params},
        why=trial.user_attrs.get('why', ''),
    )


def best_evaluation(study: optuna.Study, number: int) -> tuple[int, float]:
    """Returns the step and the value of a trial's best evaluation, the first of equal ones."""
    sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
    values: dict[int, float] = study.trials[number].intermediate_values
    return min(values.items(), key=lambda item: (sign * item[1], item[0]))


def write_report(report: Report, folder: str) -> None:
    """Writes `report.json`."""
    document = json.dumps(dataclasses.asdict(report), indent=1)
    storage.write_bytes(storage.join(folder, JSON), f'{document}\n'.encode())


def format_trial(trial: TrialResult, *, metric: str) -> str:
    """Formats a finished trial as one line."""
    value = 'no evaluation' if trial.value is None else f'{metric} {trial.value:.4f}'
    values = ' '.join(f'{name}={_short(value)}' for name, value in trial.values.items())
    return f'trial {trial.number} {trial.state}: {value} after {trial.steps:,} steps with {values}'


def format_report(report: Report, *, command: Sequence[str]) -> str:
    """Formats a table of all trials, and the command that trains with the best values.

    Args:
      report: The results of the search.
      command: The trainer.task command, without the values of the best trial.
    """
    names = list(report.trials[0].values)
    header = ['trial', '', report.metric, 'at step', 'of', *names]
    table = tables.format_table([_row(trial, names) for trial in report.trials], header=header)
    failed = [f'trial {trial.number} failed: {trial.why}' for trial in report.trials if trial.why]
    if report.best is None:
        return '\n'.join([table, *failed, 'no trial is done, so there is no best trial'])
    flags = [f'--config.{name}={value}' for name, value in report.best.values.items()]
    line = ' '.join(shlex.quote(part) for part in [*command, *flags])
    return '\n'.join([table, *failed, '', f'best: trial {report.best.number}', line])


def _row(trial: TrialResult, names: Sequence[str]) -> list[str]:
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
