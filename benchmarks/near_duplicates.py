r"""Measures what `--near_duplicates` costs and finds.

  python -m benchmarks.near_duplicates --output=DIR                          # cost of the job
  python -m benchmarks.near_duplicates --output=DIR --photos='DIR/**/*.jpg'  # precision and recall

The cost: CPU time of the shard job with `off` and `mark` in turn, on kaggle-like files of two sizes
or on --input, and the ratio. The smaller file separates start-up from the marginal cost.

Precision and recall: half of the photos are train. Copies of some of them, and the other half, are
held out. A copy that is found is a hit; any other photo that is found is a false alarm, unless it
really is a near copy, so --list names these.
"""

import glob
import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from absl import flags
from PIL import Image

from beam_pipelines.near_duplicates import matching, visual_hash
from beam_pipelines.near_duplicates.visual_hash import BANDS
from benchmarks import measure
from catalog import command_line

_OUTPUT = flags.DEFINE_string('output', None, 'Folder for files and results.', required=True)
_PHOTOS = flags.DEFINE_string('photos', None, 'Glob of JPEG files; measures precision and recall.')
_PLANTED = flags.DEFINE_integer('planted', 1000, 'Copies of each kind.')
_LIST = flags.DEFINE_bool('list', False, 'Name the other photos that are found.')
_INPUT = flags.DEFINE_string('input', None, 'A BSON file; by default kaggle-like files are made.')
_CATEGORIES = flags.DEFINE_string('categories', None, 'Category tree of --input.')
_PRODUCTS = flags.DEFINE_list('products', ['20000', '100000'], 'Products of each kaggle-like file.')
_ROUNDS = flags.DEFINE_integer('rounds', 2, 'Runs of each; the one with the least CPU time counts.')

Photo = tuple[str, bytes]


def encoded(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=quality)
    return file.getvalue()


def resized(image: Image.Image, factor: float) -> bytes:
    size = (max(round(image.width * factor), 1), max(round(image.height * factor), 1))
    return encoded(image.resize(size, Image.Resampling.LANCZOS), 85)


def bordered(image: Image.Image, fraction: float) -> bytes:
    width, height = round(image.width * fraction), round(image.height * fraction)
    canvas = Image.new('RGB', (image.width + 2 * width, image.height + 2 * height), 'white')
    canvas.paste(image, (width, height))
    return encoded(canvas, 85)


def cropped(image: Image.Image, fraction: float) -> bytes:
    width, height = round(image.width * fraction), round(image.height * fraction)
    return encoded(image.crop((width, height, image.width - width, image.height - height)), 85)


KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    'encoded again, quality 90': lambda image: encoded(image, 90),
    'encoded again, quality 60': lambda image: encoded(image, 60),
    'encoded again, quality 30': lambda image: encoded(image, 30),
    'resized to 1.5': lambda image: resized(image, 1.5),
    'resized to 0.8': lambda image: resized(image, 0.8),
    'resized to 0.5': lambda image: resized(image, 0.5),
    'resized to 0.3': lambda image: resized(image, 0.3),
    'border of 1 %': lambda image: bordered(image, 0.01),
    'border of 5 %': lambda image: bordered(image, 0.05),
    'cropped by 1 %': lambda image: cropped(image, 0.01),
    'cropped by 5 %': lambda image: cropped(image, 0.05),
}


def hashes(pictures: list[bytes]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.void]]:
    lengths = np.array([len(picture) for picture in pictures])
    places = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1)
    traits = np.zeros(len(pictures), np.uint8)
    return visual_hash.hash_pictures(b''.join(pictures), places, traits)


def find(held_out: list[bytes], train: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Returns which held-out pictures are found to be near a train picture."""
    numbers, hashed = hashes(held_out)
    found = np.zeros(len(held_out), bool)
    for band in range(BANDS):
        found[numbers] |= matching.find_copies(hashed, train, band)
    return found


def precision_and_recall(photos: list[Photo]) -> str:
    half = len(photos) // 2
    _, train = hashes([data for _, data in photos[:half]])
    others = find([data for _, data in photos[half:]], train)
    if _LIST.value:
        print(
            *(name for (name, _), bad in zip(photos[half:], others, strict=True) if bad), sep='\n'
        )
    planted = [Image.open(io.BytesIO(data)).convert('RGB') for _, data in photos[: _PLANTED.value]]
    lines = [
        f'{len(planted)} copies of each kind, {len(others)} other held-out photos, of which '
        f'{others.sum()} are found, {half} train photos',
        '',
        '| copies | recall | precision |',
        '|---|---|---|',
    ]
    for kind, change in KINDS.items():
        hits = find([change(image) for image in planted], train).sum()
        precision = hits / max(hits + others.sum(), 1)
        lines.append(f'| {kind} | {hits / len(planted):.3f} | {precision:.3f} |')
    return '\n'.join(lines)


def inputs(folder: Path) -> list[tuple[Path, Path]]:
    if _INPUT.value:
        return [(Path(_INPUT.value), Path(_CATEGORIES.value))]
    found = []
    for products in map(int, _PRODUCTS.value):
        made = folder / f'kaggle-like-{products}'
        if not (made / 'train.bson').exists():
            command = [sys.executable, '-m', 'catalog.samples', 'kaggle-like']
            flags_ = [f'--products={products}', '--test_products=0', f'--output={made}']
            subprocess.run([*command, *flags_], check=True, stdout=subprocess.DEVNULL)
        found.append((made / 'train.bson', made / 'category_names.csv'))
    return found


def cost(source: Path, tree: Path, output: Path) -> dict[str, measure.Measured]:
    """Returns the run with the least CPU time for each mode; the modes take turns."""
    best: dict[str, measure.Measured] = {}
    for _ in range(_ROUNDS.value):
        for mode in ('off', 'mark'):
            shutil.rmtree(output, ignore_errors=True)
            run = measure.run(
                [sys.executable, '-m', 'beam_pipelines.shard', f'--input={source}',
                 f'--categories={tree}', f'--output={output}', f'--near_duplicates={mode}']
            )  # fmt: skip
            if mode not in best or run.cpu < best[mode].cpu:
                best[mode] = run
    shutil.rmtree(output, ignore_errors=True)
    return best


def costs(folder: Path) -> str:
    rows = [
        (path.stat().st_size, cost(path, tree, folder / 'out')) for path, tree in inputs(folder)
    ]
    lines = [
        '| input | CPU s, off | CPU s, mark | ratio | wall s, off | wall s, mark | peak MB, off '
        '| peak MB, mark |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for size, runs in rows:
        off, mark = runs['off'], runs['mark']
        lines.append(
            f'| {size / 1e9:.2f} GB | {off.cpu:.1f} | {mark.cpu:.1f} | {mark.cpu / off.cpu:.2f} '
            f'| {off.wall:.1f} | {mark.wall:.1f} | {off.peak_mb:,.0f} | {mark.peak_mb:,.0f} |'
        )
    if len(rows) > 1:
        (_, small), (_, large) = rows[0], rows[-1]
        off, mark = (large[mode].cpu - small[mode].cpu for mode in ('off', 'mark'))
        lines.append(f'\nmarginal ratio, without start-up: {mark / off:.2f}')
    return '\n'.join(lines)


def main(argv: list[str]) -> None:
    """Measures and prints the results."""
    del argv
    folder = Path(_OUTPUT.value).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if _PHOTOS.value:
        paths = sorted(glob.glob(_PHOTOS.value, recursive=True))
        np.random.default_rng(0).shuffle(paths)
        print(precision_and_recall([(path, Path(path).read_bytes()) for path in paths]))
        return
    print(costs(folder))


if __name__ == '__main__':
    command_line.run(main)
