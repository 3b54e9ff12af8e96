"""Other input pipelines, and the limit, as contenders of `input_contenders`."""

import itertools
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import input_memory
from benchmarks.input_memory import BATCH, SIDE, Counts

CLASSES = 5_270  # classes of Kaggle's data, the length of a one-hot label in the thesis


def limit(folder: Path, cores: int) -> Counts:
    """Decodes bytes in memory by libjpeg-turbo and discards the pixels."""
    import simplejpeg

    pictures = [picture for picture, _ in input_memory.pictures(folder)]
    jobs = itertools.cycle([pictures[at : at + BATCH] for at in range(0, len(pictures), BATCH)])

    def decode(batch: list[bytes]) -> int:
        return len([simplejpeg.decode_jpeg(picture, 'RGB') for picture in batch])

    with ThreadPoolExecutor(cores) as pool:
        waiting = [pool.submit(decode, next(jobs)) for _ in range(2 * cores)]
        while True:
            yield waiting.pop(0).result()
            waiting.append(pool.submit(decode, next(jobs)))


def thesis(folder: Path, cores: int) -> Counts:
    """The thesis's iterator over BSON with Pillow, without its transforms, one thread per core.

    As in the thesis, data frames hold pictures and products, and one lock guards them and the file.
    """
    import io
    import threading

    import bson
    import numpy as np
    from PIL import Image

    products, images = _data_frames(folder)
    file = (folder / 'dump' / 'train.bson').open('rb')
    lock = threading.Lock()

    def load(order: Any) -> int:
        batch = np.zeros((len(order), SIDE, SIDE, 3), np.float32)
        labels = np.zeros((len(order), CLASSES), np.float32)
        for i, index in enumerate(order):
            with lock:
                image = images.iloc[index]
                product = products.loc[image['product_id']]
                file.seek(product['offset'])
                document = file.read(product['length'])
            picture = bson.decode(document)['imgs'][image['view']]['picture']
            batch[i] = np.asarray(Image.open(io.BytesIO(picture)), np.float32)
            labels[i, image['label']] = 1
        return len(batch)

    rng = np.random.default_rng(0)
    with ThreadPoolExecutor(cores) as pool:
        draw = lambda: pool.submit(load, rng.integers(0, len(images), BATCH))  # noqa: E731
        waiting = [draw() for _ in range(2 * cores)]
        while True:
            yield waiting.pop(0).result()
            waiting.append(draw())


def _data_frames(folder: Path) -> tuple[Any, Any]:
    """Returns each product's place in the dump by id, and each picture's product, view, label."""
    import bson
    import pandas as pd

    products, images = [], []
    labels: dict[int, int] = {}
    offset = 0
    with (folder / 'dump' / 'train.bson').open('rb') as file:
        for product in bson.decode_file_iter(file):
            length = file.tell() - offset
            products.append((product['_id'], offset, length))
            label = labels.setdefault(product['category_id'], len(labels))
            images += [(product['_id'], view, label) for view in range(len(product['imgs']))]
            offset += length
    frame = pd.DataFrame(products, columns=['product_id', 'offset', 'length'])
    return (
        frame.set_index('product_id'),
        pd.DataFrame(images, columns=['product_id', 'view', 'label']),
    )


def _torch(folder: Path, cores: int, decode: Callable[[bytes], Any]) -> Counts:
    import torch
    from torch.utils.data import DataLoader, Dataset

    torch.set_num_threads(1)
    pictures = input_memory.pictures(folder)

    class Pictures(Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(pictures)

        def __getitem__(self, i: int) -> tuple[Any, int]:
            return torch.from_numpy(decode(pictures[i][0])), pictures[i][1]

    # On one core, decoding in the main process is faster than a worker process.
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
    """PyTorch's DataLoader with Pillow, from bytes in memory."""
    import io

    import numpy as np
    from PIL import Image

    return _torch(folder, cores, lambda data: np.array(Image.open(io.BytesIO(data))))


def torch_simplejpeg(folder: Path, cores: int) -> Counts:
    """PyTorch's DataLoader with libjpeg-turbo, from bytes in memory."""
    import simplejpeg

    return _torch(folder, cores, lambda data: simplejpeg.decode_jpeg(data, 'RGB'))


def webdataset(folder: Path, cores: int) -> Counts:
    """WebDataset with libjpeg-turbo, from tar shards, with its default shuffle buffer of 1,000."""
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
    """Grain's MapDataset with libjpeg-turbo, from ArrayRecord files, one thread per core."""
    import grain.python as pygrain

    return _grain(pygrain.ArrayRecordDataSource(_array_records(folder)), cores)


def grain_memory(folder: Path, cores: int) -> Counts:
    """Grain's MapDataset with libjpeg-turbo, from bytes in memory, one thread per core."""
    return _grain([_packed(*labelled) for labelled in input_memory.pictures(folder)], cores)


def _grain(source: Any, cores: int) -> Counts:
    import grain.python as pygrain
    import simplejpeg

    def decode(packed: bytes) -> tuple[Any, int]:
        return simplejpeg.decode_jpeg(packed[4:], 'RGB'), struct.unpack_from('<I', packed)[0]

    data = pygrain.MapDataset.source(source).seed(0).shuffle().repeat().map(decode)
    options = pygrain.ReadOptions(num_threads=cores, prefetch_buffer_size=4 * BATCH)
    for images, _ in data.to_iter_dataset(options).batch(BATCH):
        yield len(images)


def _array_records(folder: Path) -> str:
    """Writes the pictures as ArrayRecord if missing, in groups of 1 for random access."""
    from array_record.python.array_record_module import ArrayRecordWriter

    path = folder / 'pictures.arrayrecord'
    if not path.exists():
        partial = f'{path}.partial'
        writer = ArrayRecordWriter(partial, 'group_size:1')
        for picture, label in input_memory.pictures(folder):
            writer.write(_packed(picture, label))
        writer.close()
        Path(partial).rename(path)
    return str(path)


def _packed(picture: bytes, label: int) -> bytes:
    return struct.pack('<I', label) + picture


def dali(folder: Path, cores: int) -> Counts:
    """DALI on the CPU with its defaults, from picture records."""
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

    dali_pipeline = pipeline()
    dali_pipeline.build()
    while True:
        images, _ = dali_pipeline.run()
        yield len(images)
