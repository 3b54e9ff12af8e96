"""Ways to feed a step: each yields how many pictures of 180x180 it has ready. Run by `input`.

  python -m benchmarks.input_contenders NAME --folder=DIR --cores=N --seconds=S

Prints `pictures wall cpu` of a window after a warm-up; CPU is of the whole process tree. Everything
is imported where it is used: no environment has all of it. Files: `input_files`.
"""

import itertools
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

BATCH = 128
SIDE = 180  # pixels
WARM_UP_SECONDS = 2.0

Counts = Iterator[int]


def limit(folder: Path, cores: int) -> Counts:
    """libjpeg-turbo decoding bytes in memory, into nothing."""
    import simplejpeg

    pictures = [picture for picture, _ in _pictures(folder)]
    batches = itertools.batched if hasattr(itertools, 'batched') else _batched
    jobs = itertools.cycle(list(batches(pictures, BATCH)))

    def decode(batch: tuple[bytes, ...]) -> int:
        return len([simplejpeg.decode_jpeg(picture, 'RGB') for picture in batch])

    with ThreadPoolExecutor(cores) as pool:
        waiting = [pool.submit(decode, next(jobs)) for _ in range(2 * cores)]
        while True:
            yield waiting.pop(0).result()
            waiting.append(pool.submit(decode, next(jobs)))


def _batched(values: list[bytes], size: int) -> Iterator[tuple[bytes, ...]]:
    for first in range(0, len(values), size):
        yield tuple(values[first : first + size])


def _pictures(folder: Path) -> list[tuple[bytes, int]]:
    """The train pictures and their labels, from the file that `input_files` wrote."""
    data = (folder / 'pictures.bin').read_bytes()
    found, offset = [], 0
    while offset < len(data):
        label, length = struct.unpack_from('<II', data, offset)
        found.append((data[offset + 8 : offset + 8 + length], label))
        offset += 8 + length
    return found


def _ours(folder: Path, *, kind: str, shuffle_records: int, device: str) -> Counts:
    import tensorflow as tf

    from trainer import preprocess
    from trainer.augmentation.draws import draw
    from trainer.augmentation.pictures import augment
    from trainer.config import InputConfig, TrainConfig
    from trainer.data_set import open_data_set
    from trainer.input_pipeline import train_batches

    config = TrainConfig(
        batch_size=BATCH,
        total_steps=1,
        input=InputConfig(height=SIDE, width=SIDE, shuffle_records=shuffle_records),
    )

    batches = iter(train_batches(open_data_set(str(folder / kind)), config))
    normalize = tf.function(preprocess.normalize, jit_compile=True)  # as in the step, by batch

    @tf.function(autograph=False)
    def take(step: tf.Tensor) -> tf.Tensor:
        """What a step of training does before the model, its draws among it."""
        images = next(batches)['image']
        if device == 'none':
            return images
        seed = tf.stack([tf.constant(config.seed), step])
        images = augment(images, draw(BATCH, seed=seed, config=config.augment), config.augment)
        return normalize(images, config.model) if device == 'floats' else images

    for step in itertools.count():
        yield len(take(tf.constant(step)))


def ours_uint8(folder: Path, cores: int) -> Counts:
    """The pipeline of this project: uint8 batches from product records, mixed by 1,024."""
    return _ours(folder, kind='product', shuffle_records=1024, device='none')


def ours_picture_records(folder: Path, cores: int) -> Counts:
    """The same from picture records."""
    return _ours(folder, kind='image', shuffle_records=1024, device='none')


def ours_flip_shuffle(folder: Path, cores: int) -> Counts:
    """The same, mixed by 10,000 records and flipped."""
    return _ours(folder, kind='product', shuffle_records=10_000, device='flip')


def ours_floats(folder: Path, cores: int) -> Counts:
    """The same, mixed, flipped and normalised to floats."""
    return _ours(folder, kind='product', shuffle_records=10_000, device='floats')


def ours_decoding(folder: Path, cores: int) -> Counts:
    """Of `ours_uint8` a part: TensorFlow's decoder on bytes in memory, into nothing."""
    import tensorflow as tf

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        images = [
            tf.io.decode_jpeg(one, channels=3, dct_method='INTEGER_ACCURATE')
            for one in tf.unstack(encoded)
        ]
        return tf.stack([tf.shape(image)[0] for image in images])

    specification = tf.TensorSpec([BATCH], tf.string)
    one_thread = tf.function(decode).get_concrete_function(specification)

    @tf.function(input_signature=[specification])
    def take(encoded: tf.Tensor) -> tf.Tensor:
        (heights,) = tf.raw_ops.PartitionedCall(
            args=[encoded], Tout=[tf.int32], f=one_thread, executor_type='SINGLE_THREADED_EXECUTOR'
        )
        return heights

    return _in_memory(folder, take)


def ours_decoding_batches(folder: Path, cores: int) -> Counts:
    """A part: the same, put together to batches, as the pipeline does."""
    import tensorflow as tf

    from trainer import preprocess

    @tf.function(input_signature=[tf.TensorSpec([BATCH], tf.string)])
    def take(encoded: tf.Tensor) -> tf.Tensor:
        return preprocess.decode_batch(encoded, height=SIDE, width=SIDE)

    return _in_memory(folder, take)


def _in_memory(folder: Path, take: Callable[[Any], Any]) -> Counts:
    import tensorflow as tf

    pictures = [picture for picture, _ in _pictures(folder)]
    starts = range(0, len(pictures) - BATCH + 1, BATCH)
    batches = [tf.constant(pictures[start : start + BATCH]) for start in starts]
    for batch in itertools.cycle(batches):
        yield len(take(batch))


def ours_without_decoding(folder: Path, cores: int) -> Counts:
    """The other part: records read, checked, parsed and mixed, batches of encoded pictures."""
    import tensorflow as tf

    from trainer.config import InputConfig, TrainConfig
    from trainer.data_set import open_data_set
    from trainer.input_pipeline import train_stream
    from trainer.sources import Columns

    def pictures(records: Columns) -> Columns:
        views = records['encoded'].row_lengths()
        columns = {name: tf.repeat(records[name], views) for name in ('label', 'product_id')}
        return {'encoded': records['encoded'].flat_values, **columns}

    size = InputConfig(height=SIDE, width=SIDE, shuffle_records=1024)
    config = TrainConfig(batch_size=BATCH, total_steps=1, input=size)
    data = open_data_set(str(folder / 'product'))
    for batch in train_stream(data, config, group=pictures, make=lambda x, _: x):
        yield len(batch['encoded'])


def thesis(folder: Path, cores: int) -> Counts:
    """A Keras-style iterator over BSON with Pillow, no transforms, a thread a core."""
    import io

    import bson
    import numpy as np
    from PIL import Image

    path = folder / 'dump' / 'train.bson'
    places, offset = [], 0
    with path.open('rb') as file:
        for product in bson.decode_file_iter(file):
            places += [(offset, view) for view in range(len(product['imgs']))]
            offset = file.tell()

    def load(order: Any) -> int:
        batch = np.zeros((len(order), SIDE, SIDE, 3), np.float32)
        with path.open('rb') as file:
            for i, place in enumerate(order):
                first, view = places[place]
                file.seek(first)
                size = struct.unpack('<i', file.read(4))[0]
                file.seek(first)
                product = bson.decode(file.read(size))
                image = Image.open(io.BytesIO(product['imgs'][view]['picture']))
                batch[i] = np.asarray(image, np.float32)
        return len(batch)

    rng = np.random.default_rng(0)
    with ThreadPoolExecutor(cores) as pool:
        draw = lambda: pool.submit(load, rng.integers(0, len(places), BATCH))  # noqa: E731
        waiting = [draw() for _ in range(2 * cores)]
        while True:
            yield waiting.pop(0).result()
            waiting.append(draw())


def _torch(folder: Path, cores: int, decode: Callable[[bytes], Any]) -> Counts:
    import torch
    from torch.utils.data import DataLoader, Dataset

    torch.set_num_threads(1)
    pictures = _pictures(folder)

    class Pictures(Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(pictures)

        def __getitem__(self, i: int) -> tuple[Any, int]:
            return torch.from_numpy(decode(pictures[i][0])), pictures[i][1]

    # One core decodes in its own process, which is quicker there than one worker beside it.
    loader = DataLoader(
        Pictures(),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=0 if cores == 1 else cores,
        persistent_workers=cores > 1,
    )
    while True:
        for images, _ in loader:
            yield len(images)


def torch_pil(folder: Path, cores: int) -> Counts:
    """Torch's DataLoader with Pillow, bytes in memory."""
    import io

    import numpy as np
    from PIL import Image

    return _torch(folder, cores, lambda data: np.array(Image.open(io.BytesIO(data))))


def torch_simplejpeg(folder: Path, cores: int) -> Counts:
    """Torch's DataLoader with libjpeg-turbo, bytes in memory."""
    import simplejpeg

    return _torch(folder, cores, lambda data: simplejpeg.decode_jpeg(data, 'RGB'))


def webdataset(folder: Path, cores: int) -> Counts:
    """WebDataset from tar shards with libjpeg-turbo, mixed by 1,000 as it does by default."""
    import simplejpeg
    import webdataset as wds

    shards = sorted(str(path) for path in folder.glob('web-*.tar'))
    data = wds.WebDataset(shards, shardshuffle=len(shards), nodesplitter=None).shuffle(1000)
    data = data.to_tuple('jpg', 'cls')
    data = data.map_tuple(lambda x: simplejpeg.decode_jpeg(x, 'RGB'), int)
    data = data.batched(BATCH, partial=False)
    loader = wds.WebLoader(data, batch_size=None, num_workers=0 if cores == 1 else cores)
    while True:
        for images, _ in loader:
            yield len(images)


def grain(folder: Path, cores: int) -> Counts:
    """Grain's MapDataset with libjpeg-turbo, bytes in memory, a decoding thread a core."""
    import grain.python as pygrain
    import simplejpeg

    class Pictures:
        def __init__(self) -> None:
            self._pictures = _pictures(folder)

        def __len__(self) -> int:
            return len(self._pictures)

        def __getitem__(self, i: int) -> tuple[bytes, int]:
            return self._pictures[i]

    data = pygrain.MapDataset.source(Pictures()).seed(0).shuffle().repeat()
    data = data.map(lambda x: (simplejpeg.decode_jpeg(x[0], 'RGB'), x[1]))
    options = pygrain.ReadOptions(num_threads=cores, prefetch_buffer_size=4 * BATCH)
    for images, _ in data.to_iter_dataset(options).batch(BATCH):
        yield len(images)


def dali(folder: Path, cores: int) -> Counts:
    """DALI on the processor, its defaults, from the same picture records."""
    from nvidia.dali import fn, pipeline_def, tfrecord, types

    shards = sorted(str(path) for path in (folder / 'image').glob('train-*.tfrecord'))

    @pipeline_def(batch_size=BATCH, num_threads=cores, device_id=None)
    def pipeline() -> Any:
        features = {
            'image/encoded': tfrecord.FixedLenFeature((), tfrecord.string, ''),
            'image/class/label': tfrecord.FixedLenFeature([1], tfrecord.int64, -1),
        }
        inputs = fn.readers.tfrecord(
            path=shards,
            index_path=[f'{path}.idx' for path in shards],
            features=features,
            random_shuffle=True,
        )
        images = fn.decoders.image(inputs['image/encoded'], device='cpu', output_type=types.RGB)
        return images, inputs['image/class/label']

    made = pipeline()
    made.build()
    while True:
        images, _ = made.run()
        yield len(images)


CONTENDERS: dict[str, Callable[[Path, int], Counts]] = {
    function.__name__: function
    for function in (
        limit,
        ours_uint8,
        ours_picture_records,
        ours_flip_shuffle,
        ours_floats,
        thesis,
        torch_pil,
        torch_simplejpeg,
        webdataset,
        grain,
        dali,
    )
}

PARTS: dict[str, Callable[[Path, int], Counts]] = {
    function.__name__: function
    for function in (ours_decoding, ours_decoding_batches, ours_without_decoding)
}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, those that have ended too."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2].split()
    total = sum(int(field) for field in fields[11:15]) / os.sysconf('SC_CLK_TCK')
    for task in Path(f'/proc/{pid}/task').glob('*/children'):
        total += sum(cpu_seconds(int(child)) for child in task.read_text().split())
    return total


def measure(counts: Counts, *, seconds: float) -> tuple[int, float, float]:
    """Pictures, wall and CPU seconds of a window after the warm-up."""
    end = time.monotonic() + WARM_UP_SECONDS
    while time.monotonic() < end:
        next(counts)
    pictures, start, cpu = 0, time.monotonic(), cpu_seconds(os.getpid())
    while time.monotonic() < start + seconds:
        pictures += next(counts)
    return pictures, time.monotonic() - start, cpu_seconds(os.getpid()) - cpu


def main(argv: list[str]) -> None:
    name, folder, cores, seconds = argv[1:]
    counts = (CONTENDERS | PARTS)[name](Path(folder), int(cores))
    print(*measure(counts, seconds=float(seconds)), flush=True)
    os._exit(0)  # without waiting for worker processes and threads that still prefetch


if __name__ == '__main__':
    main(sys.argv)
