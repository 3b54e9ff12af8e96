"""Copies the weights of another run into a new model.

The last layer and the heads of the levels have a row for each node of the category tree, which are
mapped to the nodes of the new tree. All other weights do not depend on the tree.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import keras

from catalog import categories, storage
from catalog.categories import Categories
from catalog.errors import UserError
from trainer.data.data_set import DataSet
from trainer.inference.runs import restore_member
from trainer.models import heads, weights
from trainer.start.class_rows import RowMap, map_rows, nodes
from trainer.workdir import run_files


def copy_weights(
    workdir: str,
    model: keras.Model,
    level_heads: Sequence[keras.layers.Layer],
    *,
    pattern: str,
    data: DataSet,
) -> str:
    """Copies the weights whose paths match a pattern.

    The head of a level stays random if the other run has no head of this level.

    Args:
      workdir: Workdir of the other run.
      model: The new model.
      level_heads: The heads of the levels that are trained with it.
      pattern: Regular expression, see `StartConfig`.
      data: The data set of the new run.

    Returns:
      How many rows of each level are kept, new and dropped, in words; '' if the pattern matches
      no layer with such rows.

    Raises:
      UserError: If the pattern matches no weight; the workdir has no checkpoint, or lacks the
        category tree that is needed; or it has no weight of a path, or one of another shape.
    """
    selected = {
        path: weight for path, weight in _paths(model, level_heads) if re.search(pattern, path)
    }
    if not selected:
        raise UserError(f'start.pattern must match a weight, {pattern!r} matches none')
    levels = {path: heads.level_of_rows(path) for path in selected}
    maps: dict[int, RowMap] = {}
    tree = None
    if any(level is not None for level in levels.values()):
        tree = _restore_tree(workdir, data)
        maps = {
            level: map_rows(nodes(tree, level), nodes(data.categories, level))
            for level in levels.values()
            if level is not None
        }
    source, _ = restore_member(workdir, tree=tree)
    available = dict(_paths(source.model, source.level_heads))
    absent = {level for path, level in levels.items() if level and path not in available}
    for path, weight in selected.items():
        level = levels[path]
        if level not in absent:
            rows = None if level is None else maps[level]
            _copy(path, weight, available, rows=rows, workdir=workdir)
    return '; '.join(
        f'{f"level {level}" if level else "last layer"}: '
        f'{"random" if level in absent else rows.counts}'
        for level, rows in maps.items()
    )


def _paths(
    model: keras.Model, level_heads: Sequence[keras.layers.Layer]
) -> Iterator[tuple[str, keras.Variable]]:
    yield from weights.weight_paths(model)
    for layer in level_heads:
        yield from ((f'{layer.name}/{weight.name}', weight) for weight in layer.weights)


def _restore_tree(workdir: str, data: DataSet) -> Categories:
    """Returns the category tree that the other run learned."""
    info = run_files.restore_info(workdir)
    path = storage.join(workdir, categories.FILE_NAME)
    if not storage.exists(path):
        if info.digest == data.digest:
            return data.categories
        raise UserError(
            f'{workdir}: the workdir of a run on other data must have the '
            f'{categories.FILE_NAME} of its data, got none; copy it there, or leave out what '
            "depends on it with start.pattern='^(?!logits/|level_head_)'"
        )
    tree = run_files.restore_categories(workdir)
    if len(tree) != info.num_classes:
        raise UserError(
            f'{path}: must have the {info.num_classes:,} categories of the run, got {len(tree):,}'
        )
    return tree


def _copy(
    path: str,
    weight: keras.Variable,
    available: Mapping[str, keras.Variable],
    *,
    rows: RowMap | None,
    workdir: str,
) -> None:
    other = available.get(path)
    value = None if other is None else other.numpy()
    if value is not None and rows is not None:
        value = rows.apply(value)
    if value is None or value.shape != tuple(weight.shape):
        got = 'none' if value is None else f'one of shape {value.shape}'
        raise UserError(
            f'{workdir}: must have a weight {path} of shape {tuple(weight.shape)}, got {got}; '
            'start.pattern can exclude it'
        )
    weight.assign(value)
