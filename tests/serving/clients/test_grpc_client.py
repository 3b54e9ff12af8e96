"""The gRPC client and TensorFlow Serving's own messages."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tensorflow_serving.apis import predict_pb2

from catalog.errors import UserError
from serving.clients import grpc_client
from serving.clients.request import Endpoint, Request


@pytest.mark.parametrize('version', [None, 3])
@pytest.mark.parametrize('signature', ['serving_default', 'product'])
def test_a_request_has_the_bytes_of_the_official_message(
    version: int | None, signature: str
) -> None:
    pictures = (b'\xff\xd8first', b'\xff\xd8\x00second')
    message = grpc_client.build_message(
        Endpoint('127.0.0.1:8500', model='colours', version=version),
        Request(paths=('a', 'b'), pictures=pictures, signature=signature),
    )

    official = predict_pb2.PredictRequest()
    official.model_spec.name = 'colours'
    official.model_spec.signature_name = signature
    if version:
        official.model_spec.version.value = version
    image_bytes = official.inputs['image_bytes']
    image_bytes.dtype = 7  # DT_STRING
    image_bytes.tensor_shape.dim.add(size=2)
    image_bytes.string_val.extend(pictures)
    if signature == 'product':
        product = official.inputs['product']
        product.dtype = 9  # DT_INT64
        product.tensor_shape.dim.add(size=2)
        product.int64_val.extend([0, 0])
    assert message.SerializeToString(deterministic=True) == official.SerializeToString(
        deterministic=True
    )


def test_an_output_of_an_unsupported_type_is_a_user_error() -> None:
    response = predict_pb2.PredictResponse()
    response.outputs['embedding'].dtype = 11  # DT_QINT8
    method = grpc.unary_unary_rpc_method_handler(
        lambda request, context: response,
        response_serializer=predict_pb2.PredictResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                'tensorflow.serving.PredictionService', {'Predict': method}
            )
        ]
    )
    port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    try:
        with pytest.raises(UserError, match='over gRPC: invalid output: tensor type must be'):
            grpc_client.predict(
                Endpoint(f'127.0.0.1:{port}', 'colours'),
                Request(paths=('a',), pictures=(b'x',), signature='serving_default'),
                timeout_seconds=60,
            )
    finally:
        server.stop(None).wait()
