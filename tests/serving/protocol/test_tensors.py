"""Tensors, compared with TensorFlow's own."""

from typing import Any

import ml_dtypes
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
    np.array([[0.1, -65504], [np.inf, -0.0]], np.float16),
    np.array([0.1, 3e38], ml_dtypes.bfloat16),
    np.array([[1 + 2j, -0.5j]], np.complex64),
    np.array(1e300 - 1j, np.complex128),
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


def tensor(shape: list[int], **fields: Any) -> tensor_pb2.TensorProto:
    message = tensor_pb2.TensorProto(**fields)
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    return message


@pytest.mark.parametrize(
    'proto',
    [
        tensor([2], dtype=6, int_val=[300, -129]),
        tensor([2], dtype=4, int_val=[300, -1]),
        tensor([1], dtype=17, int_val=[70000]),
        tensor([3], dtype=1),
        tensor([2, 2], dtype=7),
        tensor([2], dtype=10),
        tensor([2], dtype=8),
        tensor([], dtype=1),
        tensor([], dtype=7),
        tensor([1], dtype=1, float_val=[1, 2]),
        tensor([3], dtype=7, string_val=[b'a', b'b']),
        tensor([3], dtype=23, uint64_val=[2**64 - 1]),
        tensor([3], dtype=19, half_val=[0x3C00, 70000]),
        tensor([3], dtype=14, half_val=[0x3F80, 0xBF80]),
        tensor([2], dtype=8, scomplex_val=[1, 2, 3]),
        tensor([1], dtype=18, dcomplex_val=[1, 2]),
        tensor([2], dtype=7, tensor_content=b'\x01\x02abb'),
        tensor([1], dtype=7, tensor_content=b'\x80\x01' + b'x' * 128),
        tensor([2], dtype=10, tensor_content=b'\x00\x01'),
        tensor([0, 3], dtype=1, float_val=[1]),
    ],
    ids=str,
)
def test_incomplete_and_superfluous_values_are_read_as_tensorflow_reads_them(proto: Any) -> None:
    dtype = tf.as_dtype(proto.dtype)
    tensor = tf.io.parse_tensor(proto.SerializeToString(), dtype)
    expected = np.asarray(tensor.numpy(), dtype.as_numpy_dtype)
    read = tensors.read_array(proto)
    np.testing.assert_array_equal(read, expected)
    assert read.shape == expected.shape
    assert read.dtype == dtype.as_numpy_dtype


@pytest.mark.parametrize(
    ('proto', 'reason'),
    [
        (tensor([], dtype=11), 'got DataType 11'),
        (tensor([], dtype=0), 'got DataType 0'),
        (tensor([-1], dtype=1, float_val=[1]), 'must be known'),
        (tensor([2], dtype=1, tensor_content=b'123'), 'must have 8 bytes, got 3'),
        (tensor([2], dtype=7, tensor_content=b'\x01x'), 'lengths as varints|must have'),
        (tensor([1], dtype=7, tensor_content=b'\x05x'), 'must have 6 bytes, got 2'),
        (tensor([1], dtype=7, tensor_content=b'\xff' * 9), 'lengths as varints'),
        (tensor([1 << 40], dtype=7, tensor_content=b'\x01x'), 'must have at most'),
        (tensor([1 << 20, 1 << 20], dtype=9, int64_val=[0]), 'must have at most'),
        (tensor([1 << 26], dtype=9), 'tensor with 0 values must have at most 268435456 bytes'),
    ],
    ids=str,
)
def test_an_inconsistent_tensor_is_rejected(proto: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        tensors.read_array(proto)
