"""Tensors, compared with TensorFlow's own."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.protocol import messages, tensors

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
@pytest.mark.parametrize('message', [tensor_pb2.TensorProto, messages.TensorProto])
def test_tensors_are_interchangeable_with_tensorflow(array: np.ndarray, message: Any) -> None:
    written = message()
    tensors.write_array(written, array)
    official = tensor_pb2.TensorProto.FromString(written.SerializeToString())
    assert not official.tensor_content
    expected = tf.make_ndarray(official)
    assert expected.shape == array.shape
    np.testing.assert_array_equal(expected, array)

    read = tensors.read_array(message.FromString(tf.make_tensor_proto(array).SerializeToString()))
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
        ({'dtype': 4, 'shape': [1], 'int_val': [300]}, 'must be in the range of uint8'),
        ({'dtype': 9, 'shape': [1 << 20, 1 << 20], 'int64_val': [0]}, 'must have at most'),
    ],
)
def test_an_inconsistent_tensor_is_rejected(proto: dict[str, Any], reason: str) -> None:
    shape = proto.pop('shape', [])
    message = tensor_pb2.TensorProto(**proto)
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    with pytest.raises(ValueError, match=reason):
        tensors.read_array(message)
