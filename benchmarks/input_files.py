"""Writes the same train pictures in the format of each contender of `benchmarks.input`.

The files are dump/train.bson, product/ and image/ (shards of product and of picture records) with
DALI indices, pictures.bin (label, length and bytes of each picture), and web-*.tar.
"""

import io
import itertools
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from catalog import record
from catalog.formats import tfrecord

SHARDS = 4


def prepare(folder: Path, *, products: int) -> None:
    """Writes the missing files; `pictures.bin` is the last."""
    if (folder / 'pictures.bin').exists():
        return
    dump = folder / 'dump'
    if not (dump / 'train.bson').exists():
        _run('catalog.samples', 'kaggle-like', f'--products={products}', '--classes=100',
             f'--output={dump}')  # fmt: skip
    for kind in ('product', 'image'):
        if not (folder / kind / 'manifest.json').exists():
            _run('beam_pipelines.shard', f'--input={dump}/train.bson', f'--output={folder / kind}',
                 f'--categories={dump}/category_names.csv', f'--record={kind}', '--balance=none',
                 f'--shards={SHARDS}')  # fmt: skip
    for shard in (folder / 'image').glob('train-*.tfrecord'):
        Path(f'{shard}.idx').write_text(_dali_index(shard))
    _write_tars(folder)
    _write_pictures(folder)


def _run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, '-m', module, *arguments], check=True)


def _records(shard: Path) -> Iterator[bytes]:
    with shard.open('rb') as file:
        yield from tfrecord.read(file)


def _dali_index(shard: Path) -> str:
    lines, offset = [], 0
    for serialized in _records(shard):
        framed = len(serialized) + tfrecord.FRAME_BYTES
        lines.append(f'{offset} {framed}')
        offset += framed
    return '\n'.join(lines) + '\n'


def _labelled(folder: Path) -> Iterator[tuple[Path, bytes, int]]:
    for shard in sorted((folder / 'image').glob('train-*.tfrecord')):
        for serialized in _records(shard):
            one = record.decode(serialized)
            assert one.category
            yield shard, one.pictures[0], one.category.label


def _write_tars(folder: Path) -> None:
    number = 0
    by_shard = itertools.groupby(_labelled(folder), key=lambda row: row[0])
    for index, (_, rows) in enumerate(by_shard):
        with tarfile.open(folder / f'web-{index:05d}.tar', 'w') as tar:
            for _, picture, label in rows:
                _add(tar, f'{number:08d}.jpg', picture)
                _add(tar, f'{number:08d}.cls', str(label).encode())
                number += 1


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _write_pictures(folder: Path) -> None:
    partial = folder / 'pictures.bin.partial'
    with partial.open('wb') as file:
        for _, picture, label in _labelled(folder):
            file.write(struct.pack('<II', label, len(picture)) + picture)
    partial.rename(folder / 'pictures.bin')
