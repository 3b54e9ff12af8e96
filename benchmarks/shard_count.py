r"""Measures the shard job on as many pictures as Kaggle has, small enough for a small disk.

  python -m benchmarks.shard_count --output=DIR

Memory and Beam's work grow with the number of pictures, not with their size. The dump has the
products, classes and repeated pictures of the kaggle-like sample. A picture is one JPEG of 16x16
pixels with a comment of its own, about 700 bytes. The dump is made once per folder; the shards are
deleted.
"""

import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from benchmarks import measure
from catalog import categories, command_line
from catalog.samples import dump, french_tree, kaggle_plan

KAGGLE_PRODUCTS = 7_069_896
END_OF_IMAGE = b'\xff\xd9'
COMMENT = b'\xff\xfe\x00\x0a'  # of eight bytes: ITU T.81, B.2.4.5

_OUTPUT = flags.DEFINE_string('output', None, 'Folder for the files.', required=True)
_PRODUCTS = flags.DEFINE_integer('products', KAGGLE_PRODUCTS, 'Number of products.', lower_bound=1)
_WORKERS = flags.DEFINE_list('workers', ['1', '2'], 'Numbers of worker processes.')

_BATCH_PRODUCTS = 4096


def make_dump(folder: Path, *, products: int) -> None:
    """Makes the dump unless it exists."""
    if (folder / dump.TRAIN).exists():
        return
    names = french_tree.build_tree(classes=french_tree.KAGGLE_CLASSES, seed=0)
    ids = categories.parse(names, path=categories.FILE_NAME).ids
    options = kaggle_plan.Options(products=products, test_products=0, classes=len(ids))
    dump.start(str(folder), names)
    batches = _batches(kaggle_plan.build_plan(options), ids)
    dump.write_products(str(folder / dump.TRAIN), batches, total=products)


def _batches(plan: kaggle_plan.Plan, ids: np.ndarray) -> Iterator[tuple[int, int, bytes]]:
    begin = _picture()[: -len(END_OF_IMAGE)] + COMMENT
    for start in range(0, len(plan.label), _BATCH_PRODUCTS):
        stop = min(start + _BATCH_PRODUCTS, len(plan.label))
        first = plan.first[start : stop + 1].tolist()
        numbers = plan.source[first[0] : first[-1]].tolist()
        pictures = [begin + number.to_bytes(8) + END_OF_IMAGE for number in numbers]
        documents = [
            dump.document(
                start + i,
                pictures=pictures[first[i] - first[0] : first[i + 1] - first[0]],
                category_id=category_id,
            )
            for i, category_id in enumerate(ids[plan.label[start:stop]].tolist())
        ]
        yield stop - start, len(pictures), b''.join(documents)


def _picture() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'JPEG', quality=75)
    return file.getvalue()


def main(argv: list[str]) -> None:
    """Measures and prints the results."""
    del argv
    folder = Path(_OUTPUT.value).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    make_dump(folder, products=_PRODUCTS.value)
    print('| workers | pictures | shards | wall | CPU s per million | peak MB |')
    print('|---|---|---|---|---|---|')
    for workers in _WORKERS.value:
        output = folder / 'out'
        shutil.rmtree(output, ignore_errors=True)
        run = measure.run([
            sys.executable, '-m', 'beam_pipelines.shard', f'--input={folder / dump.TRAIN}',
            f'--categories={folder / categories.FILE_NAME}', f'--output={output}',
            f'--direct_num_workers={workers}',
        ])  # fmt: skip
        made = json.loads((output / 'manifest.json').read_text())
        shards = sum(len(split['shards']) for split in made['splits'].values())
        pictures = made['ledger']['pictures']['read']
        shutil.rmtree(output)
        metrics = f'{run.wall:,.0f} s | {run.cpu / pictures * 1e6:.1f} | {run.peak_mb:,.0f}'
        print(f'| {workers} | {pictures:,} | {shards} | {metrics} |', flush=True)


if __name__ == '__main__':
    command_line.run(main)
