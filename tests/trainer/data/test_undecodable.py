"""Undecodable pictures in batches, and where they are."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from catalog import record
from catalog.errors import UserError
from catalog.formats import tfrecord
from catalog.record import Record
from tests.trainer.data.configs import input_config
from tests.trainer.spoiled import draw_spoiled
from trainer.config import SizeConfig
from trainer.data import preprocess
from trainer.data.batches import picture_batches, train_batches
from trainer.data.data_set import DataSet, open_data_set
from trainer.data.examples import batch_spec
from trainer.undecodable import limit
from trainer.undecodable.decoding import decode_decodable
from trainer.undecodable.log import UndecodableLog
from trainer.undecodable.place import Place
from trainer.undecodable.places import find_places

SPOILED = (0, 4, 7, 8, 30)  # of products 1, 2, 4, 5 and 16; products have 2, 3, 1, 2, … views


@pytest.fixture(scope='module')
def data(make_data_set: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = tmp_path_factory.mktemp('spoiled')
    return open_data_set(make_data_set(folder, draw=draw_spoiled(SPOILED)))


def _encode(seed: int, form: str = 'JPEG') -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (28, 28, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def test_an_undecodable_picture_becomes_white_and_the_others_are_decoded() -> None:
    def decode(encoded: tf.Tensor) -> tf.Tensor:
        return preprocess.decode_batch(encoded, height=28, width=28)

    bad = [_encode(1)[:-300], b'', b'not a picture', _encode(2, 'PNG')[:-100]]
    good = [_encode(3), _encode(4, 'PNG')]
    encoded = tf.constant([good[0], *bad, good[1]])
    images, decodable = tf.function(lambda x: decode_decodable(x, decode, height=28, width=28))(
        encoded
    )
    assert decodable.numpy().tolist() == [True, False, False, False, False, True]
    np.testing.assert_array_equal(images[1:5], np.full([4, 28, 28, 3], 255))
    np.testing.assert_array_equal(images[0], np.asarray(Image.open(io.BytesIO(good[0]))))
    np.testing.assert_array_equal(images[5], np.asarray(Image.open(io.BytesIO(good[1]))))


@pytest.mark.parametrize('count', [0, 1])
def test_a_batch_without_a_decodable_picture_is_white(count: int) -> None:
    images, decodable = decode_decodable(
        tf.constant([b'text'] * count, tf.string),
        lambda x: preprocess.decode_batch(x, height=28, width=28),
        height=28,
        width=28,
    )
    assert images.shape == (count, 28, 28, 3)
    assert not decodable.numpy().any()


@pytest.mark.parametrize(
    'more',
    [
        {},
        {'cache': True},
        {'sizes': (SizeConfig(until_step=9, height=28, width=28, ratio=2),)},
    ],
    ids=['shards', 'cache', 'ratio'],
)
def test_an_epoch_has_no_label_for_undecodable_pictures_and_names_them(
    data: DataSet, more: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    log = UndecodableLog(data.paths('train'))
    pictures = data.split('train').pictures
    batches = train_batches(data, batch_spec(input_config(**more)), undecodable=log)
    labels, images = [], []
    for batch in batches.take(-(-pictures // 16)):
        labels += batch['label'].numpy().tolist()
        images += list(batch['image'].numpy())
    unlabelled = [image for label, image in zip(labels, images, strict=True) if label == -1]
    assert len(unlabelled) in (len(SPOILED), len(SPOILED) + 1)  # the last batch begins an epoch
    assert all((image == 255).all() for image in unlabelled)
    log.report()
    shard = Path(data.folder) / 'train-0000{}-of-00003.tfrecord'
    expected = [
        Place(str(shard).format((product - 1) % 3), product, index)
        for product, index in [(1, 0), (2, 2), (4, 1), (5, 0), (16, 0)]
    ]
    assert sorted(log.places) == sorted(expected)
    assert sorted(capsys.readouterr().err.splitlines()) == sorted(
        f'warning: {place.shard}: product {place.product_id}, picture {place.index} is '
        'undecodable and is passed over'
        for place in expected
    )
    log.report()
    assert not capsys.readouterr().err


@pytest.mark.parametrize('fusion', ['none', 'mean'])
def test_undecodable_pictures_change_no_batch_of_any_number_of_workers(
    data: DataSet, fusion: str
) -> None:
    spec = batch_spec(input_config(fusion=fusion))
    one = train_batches(data, spec)
    two = [train_batches(data, spec, worker=w, num_workers=2) for w in range(2)]
    for expected, *parts in zip(one.take(12), *two, strict=False):
        for part in parts:
            np.testing.assert_array_equal(part.pop('position'), expected['position'])
        del expected['position']
        for name, column in expected.items():
            joined = np.concatenate([part[name] for part in parts])
            np.testing.assert_array_equal(joined, column, err_msg=name)


def test_a_fused_product_keeps_its_decodable_views(
    make_data_set: Callable[..., str], tmp_path: Path
) -> None:
    # Views 2, 3, 1, 2, 3, 1 of products 1 to 6.
    spoiled = {0, 2, 3, 4, 5}  # the first of 1, all of 2, all of 3
    data = open_data_set(
        make_data_set(
            tmp_path, counts=(6, 4), draw=draw_spoiled(spoiled), shards=1, validation_counts=(1, 1)
        )
    )
    batches = train_batches(data, batch_spec(input_config(fusion='mean', sample_fraction=1.0)))
    rows = {}
    for batch in batches.take(2):
        for label, bad, mask, image in zip(
            *(batch[name].numpy() for name in ('label', 'undecodable', 'mask', 'image')),
            strict=True,
        ):
            key = (int(label), int(bad), tuple(mask.tolist()), bool((image == 255).all()))
            rows[key] = image
    kinds = set(rows)
    assert {key[1:] for key in kinds if key[0] == -1} == {
        (2, (True, False), True),  # of three views, two are read
        (1, (True, False), True),
    }
    assert {key[1:] for key in kinds if key[0] >= 0 and key[1]} == {(1, (True, False), False)}
    one = next(image for key, image in rows.items() if key[0] >= 0 and key[1])
    np.testing.assert_array_equal(one[0], one[1])  # its only view is repeated


def test_pictures_of_a_split_leave_out_undecodable_ones(data: DataSet) -> None:
    log = UndecodableLog(data.paths('train'))
    config = input_config().input
    batches = picture_batches(data, 'train', config, batch_size=1, undecodable=log)
    read = [int(batch['product_id'][0]) for batch in batches]
    assert len(read) == data.split('train').pictures - len(SPOILED)
    log.report()
    assert len(log.places) == len(SPOILED)


def test_an_undecodable_picture_is_named_with_the_key_of_its_product(tmp_path: Path) -> None:
    path = tmp_path / 'train-00000-of-00001.tfrecord'
    keyed = Record(7, [b'one', b'spoiled'], [0, 2], key=b'SKU-\xc3\xa9')
    plain = Record(8, [b'spoiled'], [0])
    path.write_bytes(b''.join(tfrecord.frame(record.encode(r)) for r in (keyed, plain)))
    places = find_places([str(path)], [b'spoiled'])
    assert [str(place) for place in places] == [
        f'{path}: product SKU-é, picture 2',
        f'{path}: product 8, picture 0',
    ]


def test_the_limit_is_a_share_of_the_pictures_read() -> None:
    place = Place('d/train-00000-of-00001.tfrecord', 7, 2)
    common = {'places': [place], 'folder': 'd', 'step': 9, 'always_allowed': 1}
    limit.check_limit(undecodable=1, read=10, fraction=0, **common)
    limit.check_limit(undecodable=3, read=30_000, fraction=0.0001, **common)
    with pytest.raises(UserError) as raised:
        limit.check_limit(undecodable=3, read=29_000, fraction=0.0001, **common)
    message = str(raised.value)
    assert 'input.max_undecodable=0.0001' in message
    assert 'got 3 of 29,000 by step 9' in message
    assert 'd/train-00000-of-00001.tfrecord: product 7, picture 2' in message
    assert '--verify=decode' in message


def test_one_picture_may_be_read_as_often_as_its_class_is_copied() -> None:
    # Two products of class 1 in eight records; class 2 is sampled three times as often as stored.
    assert limit.reads_in_an_epoch([10, 8], [10, 8], [10, 2], [10, 8]) == 4
    assert limit.reads_in_an_epoch([4.0, 9.0, 0], [10, 3, 0], [5, 3, 0], [5, 3, 0]) == 3
