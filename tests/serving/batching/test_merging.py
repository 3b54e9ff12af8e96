"""Requests become one run and come apart again, on literal arrays."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.protobuf import meta_graph_pb2

from serving.batching import merging


def signature(inputs: dict[str, list[int]], outputs: dict[str, list[int]]) -> Any:
    message = meta_graph_pb2.SignatureDef()
    for infos, shapes in [(message.inputs, inputs), (message.outputs, outputs)]:
        for name, shape in shapes.items():
            info = infos[name]
            for size in shape:
                info.tensor_shape.dim.add(size=size)
    return message


PIXELS = signature({'x': [-1, 2]}, {'y': [-1]})
PRODUCT = signature({'image_bytes': [-1], 'product': [-1]}, {'label': [-1, 3], 'level': [-1]})


def texts(*values: bytes) -> Any:
    return np.array(values, object)


def product_request(*numbers: int) -> dict[str, Any]:
    pictures = texts(*(b'%d' % number for number in numbers))
    return {'image_bytes': pictures, 'product': np.array(numbers, np.int64)}


def shape_of(inputs: dict[str, Any], *outputs: str, of: Any = PIXELS) -> merging.Shape | None:
    return merging.shape('pixels' if of is PIXELS else 'product', of, inputs, outputs)


def test_rows_are_concatenated_and_split() -> None:
    a = {'x': np.array([[1, 2], [3, 4]])}
    b = {'x': np.array([[5, 6]])}
    assert merging.merge('pixels', [a, b])['x'].tolist() == [[1, 2], [3, 4], [5, 6]]
    first, second = merging.split({'y': np.array([10, 20, 30])}, [2, 1]) or []
    assert (first['y'].tolist(), second['y'].tolist()) == ([10, 20], [30])


def test_products_of_two_requests_never_mix() -> None:
    merged = merging.merge(
        'product', [product_request(0, 0, 1), product_request(1, 0), product_request(0)]
    )
    assert merged['product'].tolist() == [0, 0, 1, 3, 2, 4]
    assert merged['image_bytes'].tolist() == [b'0', b'0', b'1', b'1', b'0', b'0']
    shapes = [shape_of(product_request(*p), of=PRODUCT) for p in [(0, 0, 1), (1, 0), (0,)]]
    assert [shape and (shape.rows, shape.output_rows) for shape in shapes] == [
        (3, 2),
        (2, 2),
        (1, 1),
    ]
    assert len({shape and shape.key for shape in shapes}) == 1


def test_only_requests_of_the_same_kind_are_merged() -> None:
    x = np.zeros((1, 2), np.float32)
    same = shape_of({'x': x})
    assert same == shape_of({'x': x + 1})
    keys = [
        shape and shape.key
        for shape in [
            same,
            shape_of({'x': x.astype(np.float64)}),
            shape_of({'x': np.zeros((1, 3), np.float32)}),
            shape_of({'x': x}, 'y'),
        ]
    ]
    assert None not in keys
    assert len(set(keys)) == 4


@pytest.mark.parametrize(
    ('of', 'inputs'),
    [
        (None, {'x': np.zeros((1, 2))}),  # an unknown signature
        (PIXELS, {'z': np.zeros((1, 2))}),
        (PIXELS, {}),
        (PIXELS, {'x': np.zeros(())}),
        (PIXELS, {'x': np.zeros((0, 2))}),
        (signature({'x': []}, {'y': [-1]}), {'x': np.zeros(1)}),
        (signature({'x': [-1]}, {'y': [1]}), {'x': np.zeros(1)}),
        (PRODUCT, {**product_request(0, 1), 'product': np.array([0])}),
        (PRODUCT, product_request(0, 2)),
        (PRODUCT, product_request(1)),
        (PRODUCT, product_request(-1, 0)),
        (PRODUCT, product_request(0, 60_000_000)),
        (PRODUCT, {**product_request(0), 'product': np.array([[0]])}),
        (PRODUCT, {**product_request(0), 'product': np.array([0.0])}),
    ],
)
def test_a_request_that_may_be_invalid_runs_alone(of: Any, inputs: dict[str, Any]) -> None:
    assert shape_of(inputs, of=of) is None


@pytest.mark.parametrize('output', [np.zeros(()), np.zeros(2), np.zeros((4, 3))])
def test_outputs_without_a_row_for_each_request_are_not_split(output: Any) -> None:
    assert merging.split({'y': np.zeros(3), 'z': output}, [1, 2]) is None


@given(
    st.lists(
        st.lists(st.integers(0, 5), min_size=1, max_size=6).map(
            lambda values: [sorted(set(values)).index(value) for value in values]
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_products_come_apart_as_if_each_request_ran_alone(requests: list[list[int]]) -> None:
    """The outputs here are the pictures of each product; each request has pictures of its own."""

    def pictures(inputs: merging.Arrays) -> list[list[bytes]]:
        found: dict[int, list[bytes]] = {}
        for picture, number in zip(inputs['image_bytes'], inputs['product'], strict=True):
            found.setdefault(int(number), []).append(picture)
        return [found[number] for number in range(len(found))]

    inputs = [
        {
            'image_bytes': texts(*(b'%d-%d' % (which, row) for row in range(len(numbers)))),
            'product': np.array(numbers, np.int64),
        }
        for which, numbers in enumerate(requests)
    ]
    shapes = [shape_of(one, of=PRODUCT) for one in inputs]
    sizes = [shape.output_rows for shape in shapes if shape]
    merged = pictures(merging.merge('product', inputs))
    rows = np.empty(len(merged), object)
    rows[:] = merged
    parts = merging.split({'pictures': rows}, sizes)
    assert parts is not None
    assert [list(part['pictures']) for part in parts] == [pictures(one) for one in inputs]
