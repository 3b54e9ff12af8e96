"""The files that make a folder a workdir: `config.json`, `data.json` and `category_names.csv`."""

import dataclasses
import json

from catalog import categories, storage
from catalog.errors import UserError
from trainer import naming
from trainer.config import TrainConfig, files
from trainer.data.data_set import DataInfo, DataSet

_WORKDIR_NAMES = frozenset(
    {
        naming.CONFIG,
        naming.DATA,
        categories.FILE_NAME,
        naming.METRICS,
        naming.TENSORBOARD,
        naming.CHECKPOINTS,
        naming.BEST,
        naming.REPORT,
        'wandb',
    }
)


def save_config(config: TrainConfig, workdir: str) -> None:
    """Writes `workdir/config.json`."""
    storage.write_bytes(storage.join(workdir, naming.CONFIG), files.to_json(config).encode())


def restore_config(workdir: str) -> TrainConfig:
    """Reads `workdir/config.json`.

    Raises:
      UserError: If it is missing, or this version cannot read it.
    """
    path = storage.join(workdir, naming.CONFIG)
    try:
        document = json.loads(storage.read_bytes(path))
    except FileNotFoundError as error:
        raise UserError(
            f'{workdir}: a workdir must have a {naming.CONFIG}, got none; trainer.task writes it'
        ) from error
    except ValueError as error:
        raise UserError(f'{path}: must be JSON, got: {error}') from error
    return files.validated(document, where=path)


def check_no_other_files(workdir: str) -> None:
    """Checks that a folder is a workdir, or holds nothing but what a run writes, or hidden files.

    Raises:
      UserError: Naming a file of another kind.
    """
    if all(storage.exists(storage.join(workdir, name)) for name in (naming.CONFIG, naming.DATA)):
        return
    others = [
        name
        for name in storage.list_names(workdir)
        if name not in _WORKDIR_NAMES and not name.startswith('.')
    ]
    if others:
        raise UserError(
            f'{workdir}: --workdir must be a new folder or the workdir of a run, got a folder with '
            f'other files, such as {others[0]}; choose another folder'
        )


def check_deterministic(config: TrainConfig, workdir: str) -> None:
    """Checks that a config can resume a run.

    Raises:
      UserError: If its input is not deterministic.
    """
    if not config.input.deterministic:
        raise UserError(
            f'{workdir}: a run with input.deterministic=False cannot resume exactly where it '
            'stopped; take another --workdir'
        )


def check_same_config(config: TrainConfig, workdir: str) -> None:
    """Checks that a config is that of the run of a workdir.

    Raises:
      UserError: Naming the fields that differ and must not.
    """
    before = restore_config(workdir)
    changed = _changes(before, config)
    if changed and _changes(_without_unused_decay(before), config):
        raise UserError(
            f'{workdir}: a run must resume with its own config, but {"; ".join(changed)}; '
            'take another --workdir'
        )


def _changes(before: TrainConfig, now: TrainConfig) -> list[str]:
    old, new = files.identity(before), files.identity(now)
    return [
        f'{name} was {old[name]!r} and now is {new[name]!r}'
        for name in new
        if old[name] != new[name]
    ]


def _without_unused_decay(config: TrainConfig) -> TrainConfig:
    """Returns the config of an earlier version as this version would write it.

    Earlier versions wrote a weight decay of 1e-4 for optimizers that ignored it. They are
    recognized by `plateau_goal`, which they always wrote and which is now None if not given.
    """
    optimizer = config.optimizer
    is_unused = optimizer.name not in ('adamw', 'lamb') and optimizer.weight_decay == 1e-4
    if not is_unused or optimizer.schedule.plateau_goal is None:
        return config
    plain = dataclasses.replace(optimizer, weight_decay=None)
    return dataclasses.replace(config, optimizer=plain)


def save_info(info: DataInfo, data: DataSet, workdir: str) -> None:
    """Writes `workdir/data.json` and a copy of the category tree."""
    tree = storage.read_bytes(storage.join(data.folder, categories.FILE_NAME))
    storage.write_bytes(storage.join(workdir, categories.FILE_NAME), tree)
    document = json.dumps(dataclasses.asdict(info))
    storage.write_bytes(storage.join(workdir, naming.DATA), document.encode())


def restore_info(workdir: str) -> DataInfo:
    """Reads `workdir/data.json`.

    Raises:
      UserError: If it is missing, or this version cannot read it.
    """
    path = storage.join(workdir, naming.DATA)
    try:
        document = json.loads(storage.read_bytes(path))
    except FileNotFoundError as error:
        raise UserError(
            f'{workdir}: a workdir must have a {naming.DATA}, got none; trainer.task writes it'
        ) from error
    try:
        return DataInfo(
            digest=document['digest'],
            num_classes=document['num_classes'],
            examples_per_class=tuple(document['examples_per_class']),
            natural_prior=tuple(document['natural_prior']),
        )
    except KeyError as error:
        raise UserError(
            f'{path}: must have the field {error}; another version of trainer.task wrote it'
        ) from error


def restore_categories(workdir: str) -> categories.Categories:
    """Loads the category tree that a run learned."""
    return categories.load(storage.join(workdir, categories.FILE_NAME))
