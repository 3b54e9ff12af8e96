"""Patches Beam's DaskRunner, so that each run of a task returns its own output once.

As of Beam 2.77, a task owns the list that collects the outputs of a step. A task that runs twice in
a process, as Dask does to pass a side input to a second step, returns its output twice, and the
outputs of concurrent tasks mix. The patch gives each run a copy of the list.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

_ORIGINAL = 'original_apply_dofn_to_bundle'


def patch() -> None:
    """Patches the pipelines that are built from now on."""
    from apache_beam.runners.dask import transform_evaluator

    if not hasattr(transform_evaluator, _ORIGINAL):
        setattr(transform_evaluator, _ORIGINAL, transform_evaluator.apply_dofn_to_bundle)
        transform_evaluator.apply_dofn_to_bundle = _apply


def _apply(
    items: Iterable[Any], invoker_args: list[Any], options: Mapping[str, Any], receivers: Any
) -> Any:
    from apache_beam.runners.dask import transform_evaluator

    # The original has another name where the pipeline was built, and its own in other processes.
    original = getattr(transform_evaluator, _ORIGINAL, transform_evaluator.apply_dofn_to_bundle)
    signature, *rest = invoker_args
    rest, receivers = copy.deepcopy((rest, receivers))
    return original(items, [signature, *rest], options, receivers)
