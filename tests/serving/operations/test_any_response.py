"""Any JSON, and any outputs over gRPC, are read or refused: with a ValueError or a ServingError."""

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from serving.clients import ServingError, requests
from serving.clients.prediction import parse_outputs
from serving.operations.model_metadata import GetMetadata
from serving.operations.model_status import GetStatus
from serving.protocol import messages

KEYS = [
    'outputs', 'label', 'category_id', 'confidence', 'level', 'level1', 'category_code', 'b64',
    'embedding', 'model_version_status', 'version', 'state', 'status', 'error_message', 'metadata',
    'model_spec', 'signature_def', 'inputs', 'dtype', 'tensor_shape', 'dim', 'size', 'unknown_rank',
]  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(['', 'x', '3', '-1', '/9j/', 'DT_FLOAT', 'AVAILABLE', '\x00', '\ud800'])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=12,
)
SIGNATURES = st.dictionaries(st.sampled_from(['inputs', 'outputs']), VALUES | st.just({}))
DOCUMENTS = (
    st.dictionaries(st.sampled_from(KEYS), VALUES)
    | st.fixed_dictionaries({'outputs': st.dictionaries(st.sampled_from(KEYS[1:9]), VALUES)})
    | st.fixed_dictionaries({'model_version_status': st.lists(VALUES)})
    | SIGNATURES.map(
        lambda found: {
            'model_spec': {'version': '1'},
            'metadata': {'signature_def': {'signature_def': {'x': found}}},
        }
    )
)


def parse(read: Any) -> None:
    with contextlib.suppress(ValueError, ServingError):
        read()


@given(DOCUMENTS)
def test_any_json_is_read_or_refused(document: dict[str, Any]) -> None:
    document = json.loads(json.dumps(document))
    classify, embed = requests.classify([b'x']), requests.embed([b'x'])
    parse(lambda: parse_outputs(classify.parse_json(document), count=1))
    parse(lambda: parse_outputs(classify.parse_json(document), count=1, of_products=True))
    parse(lambda: requests.parse_embeddings(embed.parse_json(document), count=1))
    parse(lambda: GetStatus().parse_json(document))
    parse(lambda: GetMetadata().parse_json(document))


TENSORS = st.tuples(
    st.integers(-1, 30),  # DataType
    st.lists(st.integers(-2, 3) | st.just(1 << 40), max_size=3),
    st.binary(max_size=16),  # tensor_content
    st.lists(st.binary(max_size=3), max_size=3),
    st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=3),
    st.lists(st.floats(width=32), max_size=3),
)


@given(st.dictionaries(st.sampled_from(KEYS[1:9]), TENSORS))
def test_any_outputs_over_grpc_are_read_or_refused(tensors: dict[str, Any]) -> None:
    response = messages.PredictResponse()
    for name, (dtype, shape, content, texts, integers, floats) in tensors.items():
        tensor = response.outputs[name]
        tensor.dtype = dtype
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = content
        tensor.string_val.extend(texts)
        tensor.int64_val.extend(integers)
        tensor.float_val.extend(floats)
    classify = requests.classify([b'x'])
    parse(lambda: parse_outputs(classify.parse_message(response), count=1))
    parse(lambda: requests.parse_embeddings(classify.parse_message(response), count=1))


@given(st.binary(max_size=60))
def test_any_signatures_over_grpc_are_read_or_refused(data: bytes) -> None:
    response = messages.GetModelMetadataResponse()
    response.metadata['signature_def'].value = data
    parse(lambda: GetMetadata().parse_message(response))
