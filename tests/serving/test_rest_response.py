"""Numbers and tensors as text."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import rest_response
from serving.answers import float32
from serving.status import RequestError


@given(st.floats(width=32, allow_nan=False))
def test_a_float32_reads_back_as_itself_through_a_float64(value: float) -> None:
    text = rest_response.decimal(value, np.dtype('float32'))
    assert np.float32(json.loads(text)) == np.float32(value)
    assert float32([json.loads(text)]) == [value]


@given(st.floats(allow_nan=False))
def test_a_float64_reads_back_as_itself(value: float) -> None:
    assert json.loads(rest_response.decimal(value, np.dtype('float64'))) == value


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (0.2, '0.2'),
        (1.0, '1.0'),
        (9e6, '9e+06'),
        (3e-5, '3e-05'),
        (-2.5, '-2.5'),
        (1 / 3, '0.333333343'),
        (123456792.0, '123456792.0'),
        (-0.0, '-0.0'),
        (float('nan'), 'NaN'),
        (float('-inf'), '-Infinity'),
    ],
)
def test_a_float32_is_written_as_tensorflow_serving_does(value: float, text: str) -> None:
    assert rest_response.decimal(float(np.float32(value)), np.dtype('float32')) == text


def test_rows_need_one_batch_size() -> None:
    outputs = {'label': np.zeros([2], np.int64), 'level': np.zeros([3], np.int64)}
    with pytest.raises(RequestError, match='one batch size'):
        rest_response.to_json(outputs, rows=True)
    assert json.loads(rest_response.to_json(outputs, rows=False)) == {
        'outputs': {'label': [0, 0], 'level': [0, 0, 0]}
    }


def test_a_single_output_of_scalars_is_a_plain_list() -> None:
    outputs = {'label': np.array([4, 5], np.int64)}
    assert json.loads(rest_response.to_json(outputs, rows=True)) == {'predictions': [4, 5]}
    assert json.loads(rest_response.to_json(outputs, rows=False)) == {'outputs': [4, 5]}
