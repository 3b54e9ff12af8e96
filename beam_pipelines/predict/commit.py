"""Turns staged files into an output: checks the folder, renames files, writes the list last.

A run stages everything in `OUTPUT/_staging`. The commit deletes an old `predictions.json` and old
files, renames the new ones, and writes `predictions.json`, without which the output is incomplete.
"""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from beam_pipelines import ledger
from beam_pipelines.ledger import Counts
from beam_pipelines.predict import files
from beam_pipelines.predict.files import WrittenFile
from beam_pipelines.write import own_folder, rejected
from beam_pipelines.write.commit import staging_folder
from catalog import manifest, object_store, storage
from catalog.errors import UserError
from catalog.typed_json import reader

FILE_NAME = 'predictions.json'
SCHEMA = 'schema.json'  # BigQuery's
SCHEMA_VERSION = 1


def prepare(output: str, *, overwrite: bool) -> None:
    """Checks that a run may and can write to a folder, and deletes what a killed run staged.

    Raises:
      UserError: If it has predictions, or files of someone else, that must not be overwritten, or
        is a data set.
      OSError: If nothing can be written there.
    """
    for name in (os.path.basename(staging_folder(output)), rejected.FOLDER):
        folder = storage.join(output, name)
        if not storage.is_remote(output) and os.path.islink(folder):
            raise UserError(f'{folder}: must be a folder, got a link; delete it')
    if storage.exists(storage.join(output, manifest.FILE_NAME)):
        raise UserError(f'--output: {output} contains a data set; choose another folder')
    if storage.exists(storage.join(output, FILE_NAME)) and not overwrite:
        raise UserError(f'--output: {output} contains predictions; use --overwrite to replace them')
    if not overwrite:
        own_folder.check_own(output, staging=staging_folder(output), replaces=_replaces)
    storage.check_writable(output)
    storage.delete_folder(staging_folder(output))


def _replaces(name: str) -> bool:
    """Returns whether predictions replace a file or folder of this name."""
    return name in (SCHEMA, rejected.FOLDER) or files.is_file_of_rows(name)


def describe(
    written: Sequence[WrittenFile],
    counts: Counts,
    *,
    model: str,
    form: str,
    columns: Sequence[str],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the content of `predictions.json`.

    Args:
      written: The files.
      counts: Counts of all that was read.
      model: Fingerprint of the model.
      form: Name of the format.
      columns: Names of the columns.
      options: The options.
    """
    return {
        'schema_version': SCHEMA_VERSION,
        'format': form,
        'columns': list(columns),
        'model': model,
        'options': dict(options),
        'files': [
            {'file': each.name, 'rows': each.rows, 'bytes': each.bytes, 'sha256': each.sha256}
            for each in sorted(written, key=lambda each: each.name)
        ],
        'ledger': ledger.as_mapping(counts),
    }


def commit(
    output: str, document: Mapping[str, Any], *, schema: bytes, staged_rejected: Sequence[str]
) -> None:
    """Gives the staged files their final names and writes `predictions.json`.

    Args:
      output: The folder.
      document: Content of `predictions.json`.
      schema: Content of `schema.json`.
      staged_rejected: Names of the staged files about rejected pieces.

    Raises:
      UserError: If someone deleted a staged file.
    """
    staging = staging_folder(output)
    renames = {
        storage.join(staging, each['file']): storage.join(output, each['file'])
        for each in document['files']
    } | {
        storage.join(staging, name): storage.join(output, rejected.FOLDER, name)
        for name in staged_rejected
    }
    # Files that an earlier attempt to commit has renamed are no longer staged.
    staged = {storage.join(staging, name) for name in storage.list_files(staging)}
    pending = {old: new for old, new in renames.items() if old in staged}
    lost = [new for old, new in renames.items() if old not in staged and not storage.exists(new)]
    if lost:
        raise UserError(f'{lost[0]}: was deleted before it was complete; run the job again')
    if staged_rejected:
        storage.make_private_folder(storage.join(output, rejected.FOLDER))
    with ThreadPoolExecutor(object_store.REQUESTS_AT_ONCE) as pool:
        list(pool.map(storage.sync, pending))
        storage.delete(storage.join(output, FILE_NAME))
        kept = set(renames.values()) - set(pending.values())
        list(pool.map(storage.delete, [old for old in _old_files(output) if old not in kept]))
        list(pool.map(storage.rename, pending, pending.values()))
    storage.write_bytes(storage.join(output, SCHEMA), schema)
    text = json.dumps(document, indent=1) + '\n'
    storage.write_bytes(storage.join(output, FILE_NAME), text.encode())
    storage.delete_folder(staging)


def read(output: str) -> dict[str, Any]:
    """Returns the content of `predictions.json`."""
    path = storage.join(output, FILE_NAME)
    document = reader.parse(storage.read_bytes(path), path=path)
    if not isinstance(document.content, dict):
        raise document.error('be an object')
    return document.content


def _old_files(output: str) -> list[str]:
    """Returns the files of earlier predictions, and partial files of a killed process."""
    old = [
        storage.join(output, name)
        for name in storage.list_files(output)
        if files.is_file_of_rows(name) or storage.is_temporary(name)
    ]
    folder = storage.join(output, rejected.FOLDER)
    return old + [storage.join(folder, name) for name in storage.list_files(folder)]
