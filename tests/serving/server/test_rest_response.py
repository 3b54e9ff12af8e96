"""Output arrays as the JSON of a response."""

import json

import numpy as np
import pytest

from serving.protocol.status import RequestError
from serving.server import rest_response


def test_the_row_format_needs_equal_first_dimensions() -> None:
    outputs = {'label': np.zeros([2], np.int64), 'level': np.zeros([3], np.int64)}
    with pytest.raises(RequestError, match='the same first dimension'):
        rest_response.format_outputs(outputs, rows=True)
    assert json.loads(rest_response.format_outputs(outputs, rows=False)) == {
        'outputs': {'label': [0, 0], 'level': [0, 0, 0]}
    }


def test_a_single_output_of_scalars_is_a_plain_list() -> None:
    outputs = {'label': np.array([4, 5], np.int64)}
    assert json.loads(rest_response.format_outputs(outputs, rows=True)) == {'predictions': [4, 5]}
    assert json.loads(rest_response.format_outputs(outputs, rows=False)) == {'outputs': [4, 5]}
