"""A shop in a few lines: real JPEG pictures, BSON files, category trees, and the job on them."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import bson
import numpy as np
from PIL import Image

from beam_pipelines.local import runner
from beam_pipelines.options import ShardOptions
from beam_pipelines.pipeline import job
from beam_pipelines.sources import opening
from beam_pipelines.write import commit
from catalog import categories, record
from catalog.formats import tfrecord

SHARED = Path(__file__).resolve().parents[2].parent / 'shared' / 'data'
CATEGORY_IDS = [1000000300, 1000000100, 1000000200, 1000000400]


def jpeg(number: int, *, size: int = 16, mode: str = 'RGB') -> bytes:
    """A small picture, other for each number."""
    channels = {'RGB': 3, 'L': 1, 'CMYK': 4}[mode]
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4, channels), np.uint8)
    picture = Image.fromarray(pixels.squeeze(), mode).resize((size, size))
    file = io.BytesIO()
    picture.save(file, 'JPEG', quality=75)
    return file.getvalue()


def photo(number: int) -> bytes:
    """A picture of about 4 KB, as large as a real one."""
    pixels = np.random.default_rng(number).integers(0, 256, (50, 50, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'JPEG', quality=75)
    return file.getvalue()


def product(product_id: int, category_id: int | None, pictures: Sequence[bytes]) -> bytes:
    """A document as Kaggle's: `_id`, `imgs`, then `category_id`."""
    fields = {'_id': product_id, 'imgs': [{'picture': picture} for picture in pictures]}
    if category_id is not None:
        fields['category_id'] = category_id
    return bson.encode(fields)


def shop(products: int = 60) -> list[bytes]:
    """Documents of four classes with a long tail and one to four pictures."""
    return [
        product(
            10 * number,
            CATEGORY_IDS[min(number % 7, 3) if number % 7 < 5 else 0],
            [jpeg(100 * number + view) for view in range(number % 4 + 1)],
        )
        for number in range(products)
    ]


def run_job(
    source: Path | str | Sequence[str],
    tree: Path | None,
    output: Path | str,
    *,
    beam: Sequence[str] = (),
    range_bytes: int = 1 << 20,
    resume: bool = False,
    **options: object,
) -> None:
    """The shard job in this process."""
    loaded = categories.load(str(tree)) if tree else None
    inputs = [str(source)] if isinstance(source, Path | str) else source
    opened = opening.open_source(inputs, tree=loaded)
    commit.prepare(str(output), resume=resume, overwrite=False)
    made_by = job.Job(
        source=opened,
        categories=loaded,
        category_bytes=tree.read_bytes() if tree else None,
        options=ShardOptions(**options),
        output=str(output),
        range_bytes=range_bytes,
    )
    runner.run(lambda p: job.build(p, made_by), beam, input_bytes=opened.total_bytes())


def run_door(*arguments: str) -> subprocess.CompletedProcess:
    """The shard job as a user runs it."""
    return subprocess.run(
        [sys.executable, '-m', 'beam_pipelines.shard', *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def read_split(folder: Path, split: str) -> list[list[record.Record]]:
    """The records of each shard of a split."""
    manifest = json.loads((folder / 'manifest.json').read_text())
    shards = []
    for shard in manifest['splits'][split]['shards']:
        with (folder / shard['file']).open('rb') as file:
            shards.append([record.decode(data) for data in tfrecord.read(file)])
    return shards


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by relative name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in walk(folder)}


def walk(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob('*')) if path.is_file())
