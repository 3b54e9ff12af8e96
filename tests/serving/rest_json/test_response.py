"""Output arrays as the JSON of a response."""

import json
from typing import Any

import numpy as np
import pytest

from serving.protocol.status import Code, RequestError
from serving.rest_json import response


def test_the_row_format_needs_equal_first_dimensions() -> None:
    outputs = {'label': np.zeros([2], np.int64), 'level': np.zeros([3], np.int64)}
    with pytest.raises(RequestError, match='inconsistent batch size: 3 expecting: 2'):
        response.format_outputs(outputs, rows=True)
    assert json.loads(response.format_outputs(outputs, rows=False)) == {
        'outputs': {'label': [0, 0], 'level': [0, 0, 0]}
    }


def test_a_single_output_of_scalars_is_a_plain_list() -> None:
    outputs = {'label': np.array([4, 5], np.int64)}
    assert json.loads(response.format_outputs(outputs, rows=True)) == {'predictions': [4, 5]}
    assert json.loads(response.format_outputs(outputs, rows=False)) == {'outputs': [4, 5]}


@pytest.mark.parametrize(
    ('outputs', 'rows', 'expected'),
    [  # those of tensorflow_serving/util/json_tensor_test.cc
        ({'x': np.array([[[1, 2]], [[7, 8]]], np.int32)}, True, [[[1, 2]], [[7, 8]]]),
        ({'x': np.arange(1, 6, dtype=np.int32)}, True, [1, 2, 3, 4, 5]),
        (
            {'x_bytes': np.array([[b'hello', b'world'], [b'tf', b'serving']], object)},
            True,
            [
                [{'b64': 'aGVsbG8='}, {'b64': 'd29ybGQ='}],
                [{'b64': 'dGY='}, {'b64': 'c2VydmluZw=='}],
            ],
        ),
        (
            {
                'double': np.array([8.0, 9.0]),
                'float': np.array([[1.0], [2.0]], np.float32),
                'int': np.array([[[1, 2]], [[7, 8]]], np.int32),
                'str': np.array([[b'foo', b'bar'], [b'baz', b'bat']], object),
            },
            True,
            [
                {'double': 8.0, 'float': [1.0], 'int': [[1, 2]], 'str': ['foo', 'bar']},
                {'double': 9.0, 'float': [2.0], 'int': [[7, 8]], 'str': ['baz', 'bat']},
            ],
        ),
        ({'x': np.array(7, np.int32)}, False, 7),
        ({'x': np.zeros([0, 3], np.float32)}, False, []),
    ],
)
def test_the_json_is_that_of_tensorflow_serving(outputs: Any, rows: bool, expected: Any) -> None:
    key = 'predictions' if rows else 'outputs'
    assert json.loads(response.format_outputs(outputs, rows=rows)) == {key: expected}


def test_floats_have_the_text_of_tensorflow_serving() -> None:
    outputs = {'x': np.array([9e6, 999999, 0.5, 0.0003, 0.00003, 555557.5], np.float32)}
    assert b'[9e+06, 999999.0, 0.5, 0.0003, 3e-05, 555557.5]' in response.format_outputs(
        outputs, rows=False
    )


@pytest.mark.parametrize(
    ('output', 'reason'),
    [
        (np.array(1, np.int32), 'Tensor name: x has no shape information'),
        (np.zeros([0], np.int32), 'Tensor name: x has invalid batch size: 0'),
        (np.zeros([2], np.complex64), 'Failed to write JSON value for tensor type: complex64'),
        (np.zeros([2], np.float16), 'Failed to write JSON value for tensor type: half'),
        (np.zeros([2], np.uint16), 'Failed to write JSON value for tensor type: uint16'),
    ],
)
def test_outputs_without_a_json_form_are_invalid(output: Any, reason: str) -> None:
    with pytest.raises(RequestError, match=reason) as caught:
        response.format_outputs({'x': output}, rows=True)
    assert caught.value.code == Code.INVALID_ARGUMENT
