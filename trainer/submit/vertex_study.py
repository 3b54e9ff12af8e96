"""The typed search of a hyperparameter tuning job, from the search spaces of `trainer.tune`."""

import math
from collections.abc import Iterator

from google.cloud.aiplatform_v1.types import StudySpec

from catalog.errors import UserError
from trainer.tune.search_space import Choice, Range, Space, text_of

PREFIX = 'config.'  # Vertex AI passes `--ID=value`, the overrides of `trainer.task`

_MOST_VALUES = 1000  # of a discrete parameter
_Parameter = StudySpec.ParameterSpec


def build_study(space: Space, *, metric: str) -> StudySpec:
    """Builds the search: the fields to vary and the metric to optimize.

    A trial counts by its best evaluation, as in `trainer.tune`.

    Args:
      space: The fields and their possible values.
      metric: The metric of validation; `loss` is minimized, all others are maximized.
    """
    goals = StudySpec.MetricSpec.GoalType
    goal = goals.MINIMIZE if metric == 'loss' else goals.MAXIMIZE
    return StudySpec(
        metrics=[StudySpec.MetricSpec(metric_id=metric, goal=goal)],
        parameters=[_parameter(name, values) for name, values in space.items()],
        measurement_selection_type=StudySpec.MeasurementSelectionType.BEST_MEASUREMENT,
    )


def _parameter(name: str, values: Choice | Range) -> StudySpec.ParameterSpec:
    parameter = StudySpec.ParameterSpec(parameter_id=PREFIX + name)
    match values:
        case Choice(options):
            texts = [text_of(option) for option in options]
            parameter.categorical_value_spec = _Parameter.CategoricalValueSpec(values=texts)
        case Range(int(low), int(high), log, None | 1):
            parameter.integer_value_spec = _Parameter.IntegerValueSpec(
                min_value=low, max_value=high
            )
            parameter.scale_type = _scale(log)
        case Range(int(low), int(high), _, step):  # discrete values would be passed as 16.0
            texts = [str(value) for value in range(low, high + 1, int(step or 1))]
            parameter.categorical_value_spec = _Parameter.CategoricalValueSpec(values=texts)
        case Range(low, high, log, None):
            parameter.double_value_spec = _Parameter.DoubleValueSpec(min_value=low, max_value=high)
            parameter.scale_type = _scale(log)
        case Range() as steps:
            numbers = list(_numbers(steps))
            if len(numbers) > _MOST_VALUES:
                raise UserError(
                    f'{name}: Vertex AI searches among at most {_MOST_VALUES} values, got '
                    f'{len(numbers)}; take a larger step or None'
                )
            parameter.discrete_value_spec = _Parameter.DiscreteValueSpec(values=numbers)
            parameter.scale_type = _scale(log=False)
    return parameter


def _scale(log: bool) -> StudySpec.ParameterSpec.ScaleType:
    scales = StudySpec.ParameterSpec.ScaleType
    return scales.UNIT_LOG_SCALE if log else scales.UNIT_LINEAR_SCALE


def _numbers(steps: Range) -> Iterator[float]:
    """Yields low, low + step, … up to high."""
    step = float(steps.step or 1)
    count = math.floor((steps.high - steps.low) / step + 1e-9) + 1
    for place in range(count):
        yield round(steps.low + place * step, 12)  # 0.3, not 0.30000000000000004
