"""Numbers as JSON text."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.protocol import json_values


@given(st.floats(width=32, allow_nan=False))
def test_a_float32_survives_a_round_trip_through_a_float64(value: float) -> None:
    text = json_values.format_float(value, np.dtype('float32'))
    assert np.float32(json.loads(text)) == np.float32(value)
    assert json_values.round_to_float32([json.loads(text)]) == [value]


@given(st.floats(allow_nan=False))
def test_a_float64_survives_a_round_trip(value: float) -> None:
    assert json.loads(json_values.format_float(value, np.dtype('float64'))) == value


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
def test_a_float32_has_the_text_of_tensorflow_serving(value: float, text: str) -> None:
    assert json_values.format_float(float(np.float32(value)), np.dtype('float32')) == text
