"""Compares records and their framing with the bytes that TensorFlow writes."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import record
from catalog.formats import tfrecord
from catalog.record import Category, Record

TRAIN = Record(7, [b'one', b'two'], [0, 2], Category(3, 1000010653, (1, 2)))
ONE_LEVEL = Record(7, [b'one'], [0], Category(3, 7, ()))
EIGHT_LEVELS = Record(7, [b'one'], [0], Category(3, 7, (0, 1, 1, 2, 0, 5, 6)))
HELD_OUT = Record(8, [b'one'], [0], Category(3, 1000010653, (1, 2)), leaked=[1])
UNLABELLED = Record(9, [b''], [0])
KEYED = HELD_OUT._replace(key=b'SKU-' + b'\xc3\xa9' * 100)


def example_of(expected: Record) -> object:
    """Builds the same record with TensorFlow's classes."""
    tf = pytest.importorskip('tensorflow', reason='TensorFlow is the reference')

    def numbers(*values: int) -> object:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    feature = {
        'image/encoded': tf.train.Feature(bytes_list=tf.train.BytesList(value=expected.pictures)),
        'image/index': numbers(*expected.indices),
        'product/id': numbers(expected.product_id),
    }
    if expected.category:
        feature |= {
            'image/class/label': numbers(expected.category.label),
            'category/id': numbers(expected.category.category_id),
        } | {
            f'category/level{level}': numbers(node)
            for level, node in enumerate(expected.category.parents, start=1)
        }
    if expected.leaked is not None:
        feature['image/leaked'] = numbers(*expected.leaked)
    if expected.key:
        key = tf.train.BytesList(value=[expected.key])
        feature['product/key'] = tf.train.Feature(bytes_list=key)
    return tf.train.Example(features=tf.train.Features(feature=feature))


@pytest.mark.parametrize('expected', [TRAIN, HELD_OUT, UNLABELLED, KEYED, ONE_LEVEL, EIGHT_LEVELS])
def test_a_record_has_the_bytes_that_tensorflow_writes(expected: Record) -> None:
    assert record.encode(expected) == example_of(expected).SerializeToString(deterministic=True)


def test_records_encoded_together_have_the_same_bytes_as_one_by_one() -> None:
    large = Record(-1, [b'x' * 200, b'', b'y' * 20_000], [1, 300, 5], Category(0, 0, (0, 0)))
    records = [TRAIN, HELD_OUT, large, KEYED, UNLABELLED]
    assert record.encode_all(records) == [record.encode(expected) for expected in records]
    assert record.encode(large) == example_of(large).SerializeToString(deterministic=True)


@given(
    product_id=st.integers(-(2**63), 2**63 - 1),
    pictures=st.lists(st.binary(max_size=50), min_size=1, max_size=4),
    labelled=st.booleans(),
    held_out=st.booleans(),
    parents=st.lists(st.integers(0, 9), max_size=7),
    key=st.binary(max_size=9),
)
def test_decode_inverts_encode(
    product_id: int,
    pictures: list[bytes],
    labelled: bool,
    held_out: bool,
    parents: list[int],
    key: bytes,
) -> None:
    expected = Record(
        product_id,
        pictures,
        list(range(len(pictures))),
        Category(5269, 1000010653, tuple(parents)) if labelled else None,
        [1] * len(pictures) if held_out else None,
        key,
    )
    assert record.decode(record.encode(expected)) == expected


def test_framing_is_the_same_as_tensorflows(tmp_path: object) -> None:
    tf = pytest.importorskip('tensorflow', reason='TensorFlow is the reference')
    records = [b'', b'a', bytes(range(256)) * 300]
    ours = tmp_path / 'ours.tfrecord'
    ours.write_bytes(b''.join(map(tfrecord.frame, records)))
    assert list(tf.data.TFRecordDataset(str(ours)).as_numpy_iterator()) == records
    theirs = tmp_path / 'theirs.tfrecord'
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for data in records:
            writer.write(data)
    assert theirs.read_bytes() == ours.read_bytes()
    with theirs.open('rb') as file:
        assert list(tfrecord.read(file)) == records


def test_every_flipped_byte_and_every_truncation_is_an_error() -> None:
    data = tfrecord.frame(b'first') + tfrecord.frame(b'second')
    boundary = len(tfrecord.frame(b'first'))
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1
        with pytest.raises((tfrecord.CorruptRecord, MemoryError, OverflowError)):
            list(tfrecord.read(io.BytesIO(flipped)))
        if at not in (0, boundary):
            with pytest.raises(tfrecord.CorruptRecord):
                list(tfrecord.read(io.BytesIO(data[:at])))


def test_framing_adds_16_bytes() -> None:
    framed = tfrecord.frame(b'12345')
    assert len(framed) == 5 + tfrecord.FRAME_BYTES
    assert struct.unpack_from('<Q', framed) == (5,)
