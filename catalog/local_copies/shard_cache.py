"""A cache of the shards of data sets on object stores.

The shards of a data set are in `~/.cache/product-categories/shards/DIGEST/`, DIGEST being that of
the manifest: another version of a data set is another folder. `XDG_CACHE_HOME` replaces `~/.cache`.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from catalog import object_store, storage
from catalog.errors import UserError
from catalog.manifest import Shard
from catalog.process.progress import Progress


def folder(digest: str) -> str:
    """Returns the folder for the shards of the data set with a manifest of this SHA-256, in hex."""
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return os.path.join(os.path.expanduser(base), 'product-categories', 'shards', digest)


def fill(source: str, shards: Sequence[Shard], *, digest: str) -> str:
    """Copies the shards that the cache lacks, several at a time, and returns its folder.

    A shard is verified while it is copied, and appears under its name when it is complete; a
    stopped copy continues with the next shard. Several processes may fill one folder.

    Args:
      source: The folder of the data set, on an object store.
      shards: Of its manifest.
      digest: SHA-256 of the manifest, in hex.

    Raises:
      UserError: If a shard differs from the manifest, or the disk is too small.
    """
    target = folder(digest)
    storage.make_folder(target)
    missing = [shard for shard in shards if not _is_there(target, shard)]
    if not missing:
        return target
    needed = sum(shard.bytes for shard in missing)
    free = shutil.disk_usage(target).free
    if needed > free:
        raise UserError(
            f'{target}: must have {needed / 1e9:.1f} GB free for a copy of the shards of {source}, '
            f'got {free / 1e9:.1f} GB; set XDG_CACHE_HOME to a larger disk'
        )
    progress = Progress('local copy', total=needed / 1e6, unit='MB')
    copied = 0
    with ThreadPoolExecutor(object_store.REQUESTS_AT_ONCE) as pool:
        for shard in pool.map(lambda shard: _copy(source, shard, target), missing):
            copied += shard.bytes
            progress.update(copied / 1e6)
    progress.close()
    return target


def _is_there(target: str, shard: Shard) -> bool:
    path = storage.join(target, shard.file)
    return storage.exists(path) and storage.size(path) == shard.bytes


def _copy(source: str, shard: Shard, target: str) -> Shard:
    path = storage.join(source, shard.file)
    digest = hashlib.sha256()
    with storage.write_atomic(storage.join(target, shard.file), large=True) as file:
        for piece in storage.read_in_pieces(path):
            file.write(piece)
            digest.update(piece)
        if digest.hexdigest() != shard.sha256:
            raise UserError(
                f'{path}: SHA-256 must be {shard.sha256} as in the manifest, got '
                f'{digest.hexdigest()}; the shard is damaged or belongs to another data set: shard '
                'the data again'
            )
    return shard
