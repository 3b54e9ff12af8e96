"""Loads the documents of a BSON file into a MongoDB collection, which appears when it is complete.

They are inserted into another collection of the database, `NAME.partial`, which is renamed.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from catalog.errors import UserError
from catalog.process.progress import Progress
from catalog.sources import mongo_read

_BATCH_DOCUMENTS = 1000


def load(path: Path, address: mongo_read.Address) -> int:
    """Inserts the documents of a BSON file and returns their number.

    Raises:
      UserError: If the collection exists, or the server refuses or does not answer.
    """
    with mongo_read.user_errors(address):
        target = mongo_read.open_collection(address)
        if target.name in target.database.list_collection_names():
            raise UserError(
                f'{address.name}: must not exist yet, but it does; drop it, or choose another name'
            )
        partial = target.database[f'{target.name}.partial']
        partial.drop()
        progress = Progress(target.name, total=path.stat().st_size / 1e6, unit='MB')
        documents = written = 0
        for batch in _batches(path):
            partial.insert_many(batch, ordered=False)
            documents += len(batch)
            written += sum(len(document.raw) for document in batch)
            progress.update(written / 1e6)
        progress.close()
        partial.rename(target.name)
    return documents


def _batches(path: Path) -> Iterator[list[RawBSONDocument]]:
    options: CodecOptions[RawBSONDocument] = CodecOptions(RawBSONDocument)
    with path.open('rb') as file:
        documents = bson.decode_file_iter(file, options)
        while batch := list(itertools.islice(documents, _BATCH_DOCUMENTS)):
            yield batch
