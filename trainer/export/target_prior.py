"""The class prior that an exported model predicts with, if it is not the one of its training.

A shift of the prior needs no retraining: by Bayes' rule the probabilities are multiplied by
`target / trained_for` and normalized (Saerens, Latinne and Decaestecker, 2002).
"""

import csv
import io
import math

import numpy as np
import numpy.typing as npt

from catalog import storage
from catalog.categories import Categories
from catalog.errors import UserError
from trainer import naming
from trainer.config import LossConfig
from trainer.inference.runs import Run
from trainer.losses import priors

Shares = npt.NDArray[np.float64]

_HEADER = ['category_id', 'share']
_POWERS = {'natural': 1.0, 'uniform': 0.0}


def read_shift(
    target: str | None, run: Run, tree: Categories, *, workdir: str
) -> npt.NDArray[np.float32] | None:
    """Returns what to add to log probabilities so that they follow a prior: float32 [C].

    Args:
      target: `natural`, `uniform`, or the path of a CSV file with the header `category_id,share`
        and a row for each category; shares are above 0 and of any scale, such as counts. None keeps
        the prior of training, and None is returned.
      run: The run that is exported.
      tree: Its C categories.
      workdir: Its workdir.

    Raises:
      UserError: If the run's own prior is not known, or the file is not of this form.
    """
    if target is None:
        return None
    if storage.exists(storage.join(workdir, naming.TAU_NORM)):
        raise UserError(
            f'{workdir}: --target_prior needs a model with a known prior, got a tau-normalized one'
        )
    trained_for = priors.compute_priors(run.info, run.config.loss).target
    return priors.prior_shift(trained_for, target=_target(target, run, tree))


def _target(target: str, run: Run, tree: Categories) -> Shares:
    if target in _POWERS:
        loss = LossConfig(target_power=_POWERS[target])
        return priors.compute_priors(run.info, loss).target
    return _read_file(target, tree)


def _read_file(path: str, tree: Categories) -> Shares:
    try:
        text = storage.read_bytes(path).decode('utf-8-sig')
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(
            f'--target_prior must be natural, uniform or a file, there is no file {path}'
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f'{path}: must be UTF-8, got: {error}') from error
    try:
        return _parse(text, tree, path=path)
    except csv.Error as error:
        raise UserError(f'{path}: must be CSV, got: {error}') from error


def _parse(text: str, tree: Categories, *, path: str) -> Shares:
    rows = csv.reader(io.StringIO(text, newline=None))
    header = next(rows, [])
    if header != _HEADER:
        raise UserError(
            f'{path}: the header must be {",".join(_HEADER)}, got {",".join(header) or "nothing"}'
        )
    shares: dict[int, float] = {}
    for row in rows:
        if row:
            label, share = _parse_row(row, tree, where=f'{path}, line {rows.line_num}')
            if label in shares:
                raise UserError(f'{path}, line {rows.line_num}: category {row[0]} occurs twice')
            shares[label] = share
    missing = [tree.shown_id(label) for label in range(len(tree)) if label not in shares]
    if missing:
        raise UserError(
            f'{path}: must have a share for each of the {len(tree):,} categories, got '
            f'{len(shares):,}; category {missing[0]} has none'
        )
    return np.array([shares[label] for label in range(len(tree))])


def _parse_row(row: list[str], tree: Categories, *, where: str) -> tuple[int, float]:
    try:
        category_id, share = row
        label, number = tree.find_id(category_id), float(share)
        if label is None:
            raise ValueError(category_id)
    except ValueError as error:
        raise UserError(
            f'{where}: must be a category_id of the tree and a share, got {",".join(row)!r}'
        ) from error
    if not (math.isfinite(number) and number > 0):
        raise UserError(f'{where}: the share must be above 0, got {share}')
    return label, number
