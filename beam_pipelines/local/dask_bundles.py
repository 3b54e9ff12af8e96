"""Beam's DaskRunner, mended: each run of a task gives its own output, once.

As of Beam 2.77 the list that a step's outputs are collected in belongs to the task: a task that
runs twice in a process, as Dask does to hand a side input to a second step, gives its output twice,
and tasks that run at once mix theirs. A copy of the list for each run mends both.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

_BEAMS_OWN = 'apply_dofn_to_bundle_of_beam'


def mend() -> None:
    """Makes pipelines that are built from now on give each run of a task a list of its own."""
    from apache_beam.runners.dask import transform_evaluator

    if not hasattr(transform_evaluator, _BEAMS_OWN):
        setattr(transform_evaluator, _BEAMS_OWN, transform_evaluator.apply_dofn_to_bundle)
        transform_evaluator.apply_dofn_to_bundle = _apply


def _apply(
    items: Iterable[Any], invoker_args: list[Any], options: Mapping[str, Any], receivers: Any
) -> Any:
    from apache_beam.runners.dask import transform_evaluator

    # Where the pipeline was built Beam's function has another name; in other processes its own.
    beams_own = getattr(transform_evaluator, _BEAMS_OWN, transform_evaluator.apply_dofn_to_bundle)
    signature, *rest = invoker_args
    rest, receivers = copy.deepcopy((rest, receivers))
    return beams_own(items, [signature, *rest], options, receivers)
