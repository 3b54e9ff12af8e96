"""JSON requests as arrays, compared with TensorFlow Serving's results as its tests state them.

Sources: tensorflow_serving/util/json_tensor.cc and json_tensor_test.cc.
"""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from serving.protocol.status import Code, RequestError
from serving.rest_json import request

FLOAT, DOUBLE, STRING = np.dtype('float32'), np.dtype('float64'), np.dtype(object)
INT8, INT32, INT64, BOOL = (np.dtype(name) for name in ('int8', 'int32', 'int64', 'bool'))
UINT8, UINT32, UINT64 = (np.dtype(name) for name in ('uint8', 'uint32', 'uint64'))


def build(text: str | bytes, **types: np.dtype[Any]) -> dict[str, Any]:
    body = request.parse(text.encode() if isinstance(text, str) else text)
    return request.build_inputs(body, types or {'x': INT32})


ACCEPTED = [
    ('{"instances": [[1,2],[3,4],[5,6]]}', INT32, [[1, 2], [3, 4], [5, 6]]),
    ('{"instances": [{"x": [1,2]}]}', INT32, [[1, 2]]),
    ('{"inputs": {"x": [[[1,2],[3,4],[5,6]]]}}', INT32, [[[1, 2], [3, 4], [5, 6]]]),
    ('{"inputs": [[[1,2],[3,4],[5,6]]]}', INT32, [[[1, 2], [3, 4], [5, 6]]]),
    ('{"inputs": 7}', INT32, 7),
    ('{"inputs": []}', INT32, []),
    ('{"instances": [[], []]}', FLOAT, [[], []]),
    ('{"instances": [1, 2.0, 3, 4, 5.003, 0.007, 0.0]}', FLOAT, [1, 2, 3, 4, 5.003, 0.007, 0]),
    ('{"instances": [1.0, 2, 3, 4, 0.662, 0, 0.0]}', DOUBLE, [1, 2, 3, 4, 0.662, 0, 0]),
    ('{"instances": [NaN, Infinity, -Infinity, 2]}', FLOAT, [np.nan, np.inf, -np.inf, 2]),
    ('{"instances": [-16777215, 16777215]}', FLOAT, [-16777215, 16777215]),
    ('{"instances": [36893488147419103232]}', FLOAT, [2.0**65]),  # a double in RapidJSON
    ('{"instances": [-0, 9223372036854775807, -9223372036854775808]}', INT64,
     [0, 2**63 - 1, -(2**63)]),
    ('{"instances": [18446744073709551615]}', UINT64, [2**64 - 1]),
    ('{"instances": [4294967295]}', UINT32, [2**32 - 1]),
    ('{"instances": [true, false]}', BOOL, [True, False]),
    ('{"instances": [{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]}', STRING, [b'hello', b'world']),
    ('{"instances": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}', STRING,
     [[b'hello'], [b'world']]),
    ('{"instances": [{"x": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}]}', STRING,
     [[[b'hello'], [b'world']]]),
    ('{"inputs": {"b64": "aGVs\\n bG8"}}', STRING, b'hello'),
    # Values out of a small type's range wrap around, as int_val does in TensorFlow.
    ('{"instances": [300, -129]}', INT8, [44, 127]),
    ('{"instances": [300, -1]}', UINT8, [44, 255]),
    # RapidJSON: the first of equal keys counts; other keys may hold anything.
    ('{"inputs": [1], "inputs": [2], "price": [[], {"a": null}]}', INT32, [1]),
    ('{"inputs": {"x": [1], "x": [2]}}', INT32, [1]),
    ('{"instances": [{"x": 1, "x": 2}]}', INT32, [1]),
    ('{"signature_name": "predict_images", "instances": [[1,2]]}', INT32, [[1, 2]]),
    # RapidJSON: a byte order mark is skipped, and bytes that are not UTF-8 are kept.
    (b'\xef\xbb\xbf{"instances": [1]}', INT32, [1]),
    (b'{"instances": ["\xff\xd8\xc3\xa9", "\\u00e9\\ud83d\\ude00"]}', STRING,
     [b'\xff\xd8\xc3\xa9', 'é😀'.encode()]),
    ('{"instances": ["\\\\ud800 is text"]}', STRING, [b'\\ud800 is text']),
]  # fmt: skip


@pytest.mark.parametrize(('text', 'dtype', 'expected'), ACCEPTED)
def test_json_is_read_as_tensorflow_serving_reads_it(text: Any, dtype: Any, expected: Any) -> None:
    (array,) = build(text, x=dtype).values()
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, np.array(expected, dtype))
    assert array.shape == np.shape(expected)


def test_several_inputs_are_named() -> None:
    types = {'int_tensor': INT32, 'str_tensor': STRING, 'float_tensor': FLOAT, 'dbl_tensor': DOUBLE}
    arrays = build(
        '{"instances": ['
        '{"int_tensor": [[1,2],[3,4],[5,6]], "str_tensor": ["foo", "bar"],'
        ' "float_tensor": [1.0, NaN], "dbl_tensor": [NaN]},'
        '{"int_tensor": [[7,8],[9,0],[1,2]], "str_tensor": ["baz", "bat"],'
        ' "float_tensor": [2.0, Infinity], "dbl_tensor": [2.0]}]}',
        **types,
    )
    assert arrays['int_tensor'].tolist() == [[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]]
    assert arrays['str_tensor'].tolist() == [[b'foo', b'bar'], [b'baz', b'bat']]
    np.testing.assert_array_equal(arrays['float_tensor'], [[1, np.nan], [2, np.inf]])
    np.testing.assert_array_equal(arrays['dbl_tensor'], [[np.nan], [2.0]])

    arrays = build(
        '{"inputs": {"int_tensor": [[[1,2]]], "str_tensor": ["foo", "bar"],'
        ' "bin_tensor": {"b64": "aGVsbG8="}}}',
        int_tensor=INT32, str_tensor=STRING, bin_tensor=STRING,
    )  # fmt: skip
    assert {name: array.tolist() for name, array in arrays.items()} == {
        'int_tensor': [[[1, 2]]], 'str_tensor': [b'foo', b'bar'], 'bin_tensor': b'hello',
    }  # fmt: skip


DEEP = '[' * 900 + ']' * 900

REJECTED = [
    ('', INT32, 'The document is empty'),
    (' \n', INT32, 'The document is empty'),
    ('instances = [1, 2]', INT32, 'JSON Parse error: Invalid value. at offset: 0'),
    ('[1]', INT32, 'JSON Value: [1] Is not object'),
    ('{"instances": [1]} {}', INT32, 'The document root must not be followed by other values.'),
    ('{"instances": [1]}X', INT32, 'The document root must not be followed by other values.'),
    ('{"instances": [1], "a": "\\ud800"}', INT32, 'The surrogate pair in string is invalid.'),
    ('{"instances": [1], "a": "\\\\\\ud83d\\u0041"}', INT32, 'The surrogate pair in string'),
    ('{"instances": ["\n"]}', STRING, 'Invalid escape character in string.'),
    ('{"instances": ["x]}', STRING, 'Missing a closing quotation mark in string.'),
    ('{instances: [1]}', INT32, 'Missing a name for object member.'),
    ('{"instances" [1]}', INT32, 'Missing a colon after a name of object member.'),
    ('{"instances": [1 2]}', INT32, 'Missing a comma'),
    ('{"instances": [' + '9' * 5000 + ']}', FLOAT, 'Number too big to be stored in double.'),
    ('{"instances": [' + '9' * 400 + ']}', FLOAT, 'Number too big to be stored in double.'),
    ('{"instances": [1e400]}', DOUBLE, 'Number too big to be stored in double.'),
    ('[' * 100_000, INT32, 'nested too deeply'),
    ('{"instances": ' + '[' * 100_000 + ']' * 100_000 + '}', INT32, 'nested too deeply'),
    (f'{{"instances": [{DEEP}]}}', INT32, 'at most 254 dimensions'),
    (f'{{"inputs": {DEEP}}}', INT32, 'at most 254 dimensions'),
    (f'{{"instances": [{{"x": {DEEP}, "y": {DEEP}}}]}}', INT32, 'at most 254 dimensions'),
    ('{"signature_name": 5, "instances": [1]}', INT32, 'key must be a string value'),
    ('{}', INT32, "Missing 'inputs' or 'instances' key"),
    ('{"instances": [1], "inputs": [1]}', INT32, 'Not formatted correctly expecting only one of'),
    ('{"instances": {"x": 1}}', INT32, "'instances' to be an list/array"),
    ('{"instances": []}', INT32, "No values in 'instances' array"),
    ('{"instances": [[1,2],[3,4],[5,6,7]]}', INT32, 'Expecting tensor size: 2 but got: 3'),
    ('{"instances": [[1,2],[3,4],[[5,6]]]}', INT32, 'Expecting shape [2] but got: [1,2]'),
    ('{"instances": [1, [1]]}', INT32, 'Expecting shape [] but got: [1]'),
    ('{"instances": [[1,2],["a","b"]]}', INT32,
     'JSON Value: "a" Type: String is not of expected type: int32'),
    ('{"instances": ["x", "y"]}', FLOAT, 'not of expected type: float'),
    ('{"instances": [1.0]}', INT32, 'JSON Value: 1.0 Type: Number is not of expected type: int32'),
    ('{"instances": [true]}', INT32, 'Type: True is not of expected type: int32'),
    ('{"instances": [true]}', FLOAT, 'Type: True is not of expected type: float'),
    ('{"instances": [1]}', BOOL, 'Type: Number is not of expected type: bool'),
    ('{"instances": [null]}', STRING, 'Type: Null is not of expected type: string'),
    ('{"instances": [1]}', STRING, 'Type: Number is not of expected type: string'),
    ('{"instances": [2147483648]}', INT8, 'not of expected type: int8'),
    ('{"instances": [9223372036854775808]}', INT64, 'not of expected type: int64'),
    ('{"instances": [-1]}', UINT32, 'not of expected type: uint32'),
    ('{"instances": [-1]}', UINT64, 'not of expected type: uint64'),
    ('{"instances": [1.7976931348623157e+308]}', FLOAT, 'to float without loss of precision'),
    ('{"instances": [16777216]}', FLOAT, 'JSON value: 16777216 to float without loss'),
    ('{"instances": [16777217]}', FLOAT, 'to float without loss of precision'),
    ('{"instances": [9007199254740993]}', DOUBLE, 'to double without loss of precision'),
    ('{"inputs": {"b64": "aGVsbG8="}}', INT32, 'not of expected type: int32'),
    ('{"inputs": [{"b64": 5}]}', STRING, 'not formatted correctly for base64 data'),
    ('{"inputs": [{"b64": "eA==", "b64": "eA=="}]}', STRING, 'not formatted correctly for base64'),
    ('{"inputs": [[1], 2]}', INT32,
     'found at incorrect level: 2 in the JSON DOM. Expected at level: 2'),
    ('{"inputs": [[1], [2, 3]]}', INT32, 'unexpected size: 2 at level: 1 expected size: 1'),
    ('{"inputs": [1, [2]]}', INT32, 'list at unexpected level: 1 expected < 1'),
    ('{"inputs": {"y": [1]}}', INT32, "Missing named input: x in 'inputs' object."),
    ('{"instances": [{"y": 1}]}', INT32, 'does not have named input: y'),
    ('{"instances": [{}]}', INT32, 'must only have keys: x'),
    ('{"instances": [{"x": 1}, 2]}', INT32,
     'Expecting object but got list at item 1 of input list'),
    ('{"instances": [1, {"x": 1}]}', INT32, 'Expecting value/list but got object at item 1'),
    ('{"instances": [{"b64": "!!!!"}]}', STRING, 'Unable to base64 decode'),
    ('{"instances": [{"b64": "eA="}]}', STRING, 'Unable to base64 decode'),
    ('{"instances": [{"b64": "_-8="}]}', STRING,
     'standard alphabet with + and /, got URL-safe base64'),
    ('{"instances": [{"b64": "data:image/jpeg;base64,/9j/"}]}', STRING,
     'got a data URL; send the part after the comma'),
]  # fmt: skip


@pytest.mark.parametrize(
    ('text', 'dtype', 'reason'), REJECTED, ids=[str(text)[:60] for text, _, _ in REJECTED]
)
def test_json_is_rejected_as_tensorflow_serving_rejects_it(
    text: str, dtype: Any, reason: str
) -> None:
    with pytest.raises(RequestError) as caught:
        build(text, x=dtype)
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert reason in caught.value.message
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('{"instances": [1, 2]}', 'instances is a plain list, but expecting list of objects'),
        ('{"inputs": [1, 2]}', 'inputs is a plain value/list, but expecting an object'),
        ('{"instances": [{"x": 1}]}', 'must only have keys: x,y'),
        ('{"inputs": {"x": [1]}}', 'Missing named input: y'),
    ],
)
def test_several_inputs_need_their_names(text: str, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        build(text, x=INT32, y=INT32)


@pytest.mark.parametrize('dtype', ['float16', 'uint16', 'complex64', ml_dtypes.bfloat16])
def test_types_without_a_json_form_are_unimplemented(dtype: Any) -> None:
    with pytest.raises(RequestError, match='Conversion of JSON Value: 1 to type') as caught:
        build('{"inputs": [1]}', x=np.dtype(dtype))
    assert caught.value.code == Code.UNIMPLEMENTED
    with pytest.raises(RequestError, match='list\\. Error: UNIMPLEMENTED: ') as caught:
        build('{"instances": [1]}', x=np.dtype(dtype))
    assert caught.value.code == Code.INVALID_ARGUMENT
