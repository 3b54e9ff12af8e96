"""The gRPC services, called with the official stubs."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.serving.colours import BLUE, RED, jpeg, predict_request
from tests.serving.running import RunningServer


@pytest.fixture(scope='module')
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    options = [('grpc.max_send_message_length', -1)]
    with grpc.insecure_channel(server.grpc, options=options) as channel:
        yield channel


@pytest.fixture(scope='module')
def stub(channel: grpc.Channel) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def error_of(call: Callable[..., Any], request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=30)
    return caught.value.code(), caught.value.details()


def test_predict_returns_the_outputs_of_the_model(stub: Any, module: Any) -> None:
    pictures = [jpeg(RED), jpeg(BLUE)]
    response = stub.Predict(predict_request({'image_bytes': pictures}), timeout=30)
    assert response.model_spec.name == 'colours'
    assert response.model_spec.version.value == 3
    assert response.model_spec.signature_name == 'serving_default'
    expected = module.serving_default(tf.constant(pictures))
    assert set(response.outputs) == set(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(tf.make_ndarray(response.outputs[name]), tensor.numpy())
    # Typed fields, as in TensorFlow Serving: many clients read float_val.
    assert len(response.outputs['confidence'].float_val) == 6
    assert len(response.outputs['level1'].string_val) == 6


def test_an_output_filter_selects_outputs(stub: Any) -> None:
    request = predict_request({'image_bytes': [jpeg(RED)]}, version=3)
    request.output_filter.append('label')
    assert set(stub.Predict(request, timeout=30).outputs) == {'label'}
    request.output_filter.append('price')
    code, details = error_of(stub.Predict, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert 'price' in details


def test_an_empty_batch_returns_empty_outputs(stub: Any) -> None:
    request = predict_request({'image_bytes': tf.make_tensor_proto([], tf.string, [0])})
    assert tf.make_ndarray(stub.Predict(request, timeout=30).outputs['label']).shape == (0, 3)


def test_tensor_content_and_typed_values_give_the_same_outputs(stub: Any) -> None:
    text = tf.make_tensor_proto([b'x', b'\xff'])
    content = {
        'decimals': tf.make_tensor_proto(np.array([[0.5, 1.5], [2.5, 3.5]], np.float32)),
        'integers': tf.make_tensor_proto(np.array([7, 7], np.int32)),
        'flag': tf.make_tensor_proto([True, False]),
        'text': text,
    }
    assert content['decimals'].tensor_content
    values = {
        'decimals': tf.make_tensor_proto(0.0),
        'integers': tf.make_tensor_proto(7, tf.int32, [2]),  # one value, repeated
        'flag': content['flag'],
        'text': text,
    }
    del values['decimals'].float_val[:]
    values['decimals'].float_val.extend([0.5, 1.5, 2.5, 3.5])
    values['decimals'].tensor_shape.CopyFrom(content['decimals'].tensor_shape)
    outputs = [
        stub.Predict(predict_request(inputs, signature='echo'), timeout=30).outputs
        for inputs in (content, values)
    ]
    for name in ('decimals', 'integers', 'flag', 'text'):
        assert outputs[0][name] == outputs[1][name]
        np.testing.assert_array_equal(
            tf.make_ndarray(outputs[0][name]), tf.make_ndarray(content[name])
        )


@pytest.mark.parametrize(
    ('build_request', 'code', 'reason'),
    [
        (
            lambda: predict_request({'image_bytes': [b'hello']}),
            grpc.StatusCode.INVALID_ARGUMENT,
            'Unknown image file format',
        ),
        (
            lambda: predict_request({'image_bytes': [1.5]}),
            grpc.StatusCode.INVALID_ARGUMENT,
            "'image_bytes' must be string, got float32",
        ),
        (
            lambda: predict_request({'image_bytes': [[b'x']]}),
            grpc.StatusCode.INVALID_ARGUMENT,
            'Specified a list with shape [] from a tensor with shape [1]',  # the graph
        ),
        (
            lambda: predict_request({}),
            grpc.StatusCode.INVALID_ARGUMENT,
            'Missing but required: {image_bytes}',
        ),
        (
            lambda: predict_request({'image_bytes': [b'x'], 'price': [1]}),
            grpc.StatusCode.INVALID_ARGUMENT,
            'Sent extra: {price}',
        ),
        (
            lambda: predict_request({'image_bytes': [b'x']}, signature='none'),
            grpc.StatusCode.FAILED_PRECONDITION,  # as in TensorFlow Serving; over REST it is 400
            'Serving signature key "none" not found.',
        ),
        (
            lambda: predict_request({'image_bytes': [b'x']}, name='other'),
            grpc.StatusCode.NOT_FOUND,
            'Servable not found for request: Latest(other)',
        ),
        (
            lambda: predict_request({'image_bytes': [b'x']}, version=99),
            grpc.StatusCode.NOT_FOUND,
            'Servable not found for request: Specific(colours, 99)',
        ),
    ],
)
def test_an_invalid_request_has_the_status_code_of_tensorflow_serving(
    stub: Any, build_request: Callable[[], Any], code: grpc.StatusCode, reason: str
) -> None:
    got_code, details = error_of(stub.Predict, build_request())
    assert got_code == code
    assert reason in details
    assert stub.Predict(predict_request({'image_bytes': [jpeg(RED)]}), timeout=30).outputs


def test_the_graph_decides_which_shapes_it_accepts(stub: Any) -> None:
    inputs = {'decimals': [[1.0, 2.0, 3.0]], 'integers': [7], 'flag': [True], 'text': [b'x']}
    response = stub.Predict(predict_request(inputs, signature='echo'), timeout=30)
    assert tf.make_ndarray(response.outputs['decimals']).tolist() == [[1.0, 2.0, 3.0]]


def test_half_complex_and_small_integers_belong_to_the_protocol(stub: Any) -> None:
    inputs = {
        'half': tf.constant([0.5, -65504.0], tf.half),
        'bfloat16': tf.constant([0.5, -3e38], tf.bfloat16),
        'complex64': tf.constant([1 - 2j, 0.5j], tf.complex64),
        'int8': tf.constant([-128, 44], tf.int8),
        'uint16': tf.constant([65535, 0], tf.uint16),
    }
    request = predict_request(
        {name: tf.make_tensor_proto(tf.make_ndarray(tf.make_tensor_proto(tensor)))
         for name, tensor in inputs.items()},
        signature='types',
    )  # fmt: skip
    # As in TensorFlow, an integer wraps around at its type's range: 300 - 256 = 44.
    request.inputs['int8'].ClearField('tensor_content')
    request.inputs['int8'].int_val.extend([-128, 300])
    outputs = stub.Predict(request, timeout=30).outputs
    assert set(outputs) == set(inputs)
    for name, tensor in inputs.items():
        np.testing.assert_array_equal(tf.make_ndarray(outputs[name]), tensor.numpy())


def test_a_tensor_without_values_is_zero(stub: Any) -> None:
    inputs = {'decimals': [[0.0, 0.0]], 'integers': [0], 'flag': [False], 'text': [b'']}
    expected = stub.Predict(predict_request(inputs, signature='echo'), timeout=30).outputs
    request = predict_request(inputs, signature='echo')
    for tensor in request.inputs.values():
        for field in ('tensor_content', 'int_val', 'bool_val', 'string_val', 'float_val'):
            tensor.ClearField(field)
    assert stub.Predict(request, timeout=30).outputs == expected


def test_an_unknown_version_is_reported_before_an_invalid_tensor(stub: Any) -> None:
    request = predict_request({'image_bytes': tf.make_tensor_proto([b'x'])}, version=99)
    request.inputs['image_bytes'].dtype = 0
    assert error_of(stub.Predict, request)[0] == grpc.StatusCode.NOT_FOUND
    request.model_spec.ClearField('version')
    assert error_of(stub.Predict, request)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_an_empty_model_name_is_invalid(stub: Any) -> None:
    request = predict_request({'image_bytes': [b'x']}, name='')
    expected = (grpc.StatusCode.INVALID_ARGUMENT, 'ModelSpec has no name specified.')
    assert error_of(stub.Predict, request) == expected
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=['signature_def'])
    metadata.model_spec.SetInParent()
    assert error_of(stub.GetModelMetadata, metadata) == expected


def test_a_request_without_a_model_spec_is_rejected(stub: Any) -> None:
    assert error_of(stub.Predict, predict_pb2.PredictRequest()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        'Missing ModelSpec',
    )


def test_a_tensor_shape_of_a_terabyte_is_rejected(stub: Any) -> None:
    request = predict_request({'image_bytes': tf.make_tensor_proto([b'x'])})
    request.inputs['image_bytes'].tensor_shape.dim[0].size = 1 << 40
    code, details = error_of(stub.Predict, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert 'must have at most' in details


def test_a_request_above_the_default_limit_of_grpc_is_accepted(stub: Any) -> None:
    big = bytes(20 << 20)
    request = predict_request(
        {'decimals': [[0.0, 0.0]], 'integers': [1], 'flag': [True], 'text': [big]}, signature='echo'
    )
    request.output_filter.append('integers')
    response = stub.Predict(request, timeout=60)
    assert tf.make_ndarray(response.outputs['integers']).tolist() == [1]


def test_metadata_contains_the_signatures(stub: Any) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=['signature_def'])
    request.model_spec.name = 'colours'
    response = stub.GetModelMetadata(request, timeout=30)
    assert response.model_spec.version.value == 3
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata['signature_def'].Unpack(signatures)
    assert set(signatures.signature_def['product'].inputs) == {'image_bytes', 'product'}

    request.metadata_field[:] = ['weights']
    assert error_of(stub.GetModelMetadata, request)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_status_reports_the_versions(channel: grpc.Channel) -> None:
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = 'colours'
    (status,) = stub.GetModelStatus(request, timeout=30).model_version_status
    assert (status.version, status.state, status.status.error_code) == (3, status.AVAILABLE, 0)

    request.model_spec.version.value = 8
    assert error_of(stub.GetModelStatus, request) == (
        grpc.StatusCode.NOT_FOUND,
        'Could not find version 8 of model colours',
    )


@pytest.mark.parametrize('service', ['', 'PredictionService', 'ModelService'])
def test_health_is_serving(channel: grpc.Channel, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    response = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30)
    assert response.status == health_pb2.HealthCheckResponse.SERVING


def test_the_health_of_an_unknown_service_is_not_found(channel: grpc.Channel) -> None:
    request = health_pb2.HealthCheckRequest(service='tensorflow.serving.PredictionService')
    check = health_pb2_grpc.HealthStub(channel).Check
    assert error_of(check, request)[0] == grpc.StatusCode.NOT_FOUND


def test_other_methods_are_unimplemented(stub: Any) -> None:
    for method, request in [
        (stub.Classify, classification_pb2.ClassificationRequest()),
        (stub.Regress, regression_pb2.RegressionRequest()),
        (stub.MultiInference, inference_pb2.MultiInferenceRequest()),
    ]:
        assert error_of(method, request)[0] == grpc.StatusCode.UNIMPLEMENTED
