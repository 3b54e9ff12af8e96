"""How a job of Vertex AI ended: in words, and the trials of a search as a table."""

import shlex
from collections.abc import Sequence

from google.cloud.aiplatform_v1.types import HyperparameterTuningJob, StudySpec, Trial

from trainer.report import tables
from trainer.submit.vertex_job import Job
from trainer.submit.vertex_study import PREFIX

_Goal = StudySpec.MetricSpec.GoalType


def link(job: Job) -> str:
    """Returns the page of a job in Google's console."""
    _, project, _, region, _, number = job.name.split('/')
    return (
        f'https://console.cloud.google.com/vertex-ai/locations/{region}/training/{number}'
        f'?project={project}'
    )


def format_trials(job: HyperparameterTuningJob, *, command: Sequence[str]) -> str:
    """Formats a table of the trials, and the command that trains with the best values.

    Args:
      job: The job that has ended.
      command: The command of trainer.task, without the values of the best trial.
    """
    metric = job.study_spec.metrics[0]
    names = [parameter.parameter_id for parameter in job.study_spec.parameters]
    header = ['trial', '', metric.metric_id, *(name.removeprefix(PREFIX) for name in names)]
    rows = [_row(trial, names) for trial in job.trials]
    lines = [tables.format_table(rows, header=header)] if rows else []
    measured = [trial for trial in job.trials if trial.final_measurement.metrics]
    if not measured:
        return '\n'.join([*lines, 'no trial is done, so there is no best trial'])
    sign = -1 if metric.goal == _Goal.MINIMIZE else 1
    best = max(measured, key=lambda trial: sign * trial.final_measurement.metrics[0].value)
    flags = [f'--{name}={value}' for name, value in _values(best).items()]
    line = ' '.join(shlex.quote(part) for part in [*command, *flags])
    return '\n'.join([*lines, '', f'best: trial {best.id}', line])


def _row(trial: Trial, names: Sequence[str]) -> list[str]:
    metrics = trial.final_measurement.metrics
    values = _values(trial)
    return [
        trial.id,
        trial.state.name.lower(),
        f'{metrics[0].value:.4f}' if metrics else '-',
        *(values.get(name, '-') for name in names),
    ]


def _values(trial: Trial) -> dict[str, str]:
    return {each.parameter_id: _short(each.value) for each in trial.parameters}


def _short(value: object) -> str:
    """Formats a value; Vertex AI returns every number as a float."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f'{value:.6g}'
    return str(value)
