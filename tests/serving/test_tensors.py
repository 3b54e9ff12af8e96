"""Tensors and messages against TensorFlow's own."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.descriptor import FieldDescriptor
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_status_pb2, predict_pb2

from serving import protos, tensors

ARRAYS = [
    np.array([[0.1, np.inf], [-0.0, 1e-40]], np.float32),
    np.array([0.1, np.nan]),
    np.array([[[1, -2]]], np.int64),
    np.array([2**31 - 1, -(2**31)], np.int32),
    np.array([0, 255], np.uint8),
    np.array([-128, 127], np.int8),
    np.array([-32768], np.int16),
    np.array([65535], np.uint16),
    np.array([2**32 - 1], np.uint32),
    np.array([2**64 - 1], np.uint64),
    np.array([True, False]),
    np.array([b'', b'\x00\xff', 'é'.encode()], object),
    np.array(7, np.int64),
    np.array(b'x', object),
    np.zeros([0, 3], np.float32),
    np.zeros([0], object),
]


@pytest.mark.parametrize('array', ARRAYS, ids=lambda a: f'{a.dtype}{list(a.shape)}')
@pytest.mark.parametrize('message', [tensor_pb2.TensorProto, protos.TensorProto])
def test_tensorflow_reads_what_is_written_and_writes_what_is_read(
    array: np.ndarray, message: Any
) -> None:
    written = message()
    tensors.fill(written, array)
    official = tensor_pb2.TensorProto.FromString(written.SerializeToString())
    assert not official.tensor_content
    theirs = tf.make_ndarray(official)
    assert theirs.shape == array.shape
    np.testing.assert_array_equal(theirs, array)

    read = tensors.to_array(message.FromString(tf.make_tensor_proto(array).SerializeToString()))
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    ('proto', 'reason'),
    [
        ({'dtype': 8}, 'got DataType 8'),
        ({'dtype': 1, 'shape': [2]}, 'must have 2 values, got 0'),
        ({'dtype': 1, 'shape': [1], 'float_val': [1, 2]}, 'must have 1 values, got 2'),
        ({'dtype': 1, 'shape': [-1], 'float_val': [1]}, 'must be known'),
        ({'dtype': 1, 'shape': [2], 'tensor_content': b'123'}, 'must have 8 bytes, got 3'),
        ({'dtype': 7, 'shape': [1], 'tensor_content': b'\x01x'}, 'must have its values in'),
        ({'dtype': 9, 'shape': [1 << 20, 1 << 20], 'int64_val': [0]}, 'must have at most'),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(proto: dict[str, Any], reason: str) -> None:
    shape = proto.pop('shape', [])
    message = tensor_pb2.TensorProto(**proto)
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    with pytest.raises(ValueError, match=reason):
        tensors.to_array(message)


@pytest.mark.parametrize(
    ('ours', 'official'),
    [
        (protos.PredictRequest, predict_pb2.PredictRequest),
        (protos.PredictResponse, predict_pb2.PredictResponse),
        (protos.GetModelStatusRequest, get_model_status_pb2.GetModelStatusRequest),
        (protos.GetModelStatusResponse, get_model_status_pb2.GetModelStatusResponse),
    ],
)
def test_every_field_is_the_official_one(ours: Any, official: Any) -> None:
    pairs, seen = [(ours.DESCRIPTOR, official.DESCRIPTOR)], set()
    while pairs:
        mine, theirs = pairs.pop()
        if mine.full_name in seen:
            continue
        seen.add(mine.full_name)
        assert mine.full_name == theirs.full_name
        for field in mine.fields:
            other = theirs.fields_by_name[field.name]
            assert field.number == other.number
            assert field.is_repeated == other.is_repeated
            wire = FieldDescriptor.TYPE_INT32 if other.enum_type else other.type
            assert field.type == wire
            if field.message_type:
                pairs.append((field.message_type, other.message_type))
    assert len(seen) >= 3


def test_available_is_the_official_number() -> None:
    assert protos.AVAILABLE == get_model_status_pb2.ModelVersionStatus.AVAILABLE
