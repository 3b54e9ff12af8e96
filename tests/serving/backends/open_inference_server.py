"""A gRPC server of the Open Inference Protocol v2, with the official messages and service.

Its network classifies pictures by their mean colours, so that a test can compute the answers.
"""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

MODEL = 'colours'
VERSION = '7'
CLASSES = 6
WEIGHTS = np.random.default_rng(3).normal(size=(3, CLASSES)) * 4


def probabilities(images: np.ndarray) -> np.ndarray:
    """Of each picture: uint8 [N, H, W, 3] -> float32 [N, C]."""
    scores = np.exp(images.mean(axis=(1, 2)) / 255 @ WEIGHTS)
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


class Network(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Answers as raw bytes or in lists, and keeps the last request."""

    def __init__(self, *, raw: bool) -> None:
        self.raw = raw
        self.requests: list[Any] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=request.name == MODEL)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.go_on.wait(60)
        self.requests.append(request)
        if request.model_name != MODEL:
            context.abort(grpc.StatusCode.NOT_FOUND, f'no model {request.model_name}')
        images, product = (
            np.frombuffer(data, kind).reshape(tuple(tensor.shape))
            for data, kind, tensor in zip(
                request.raw_input_contents, (np.uint8, np.int64), request.inputs, strict=True
            )
        )
        pictures = probabilities(images)
        products = np.stack([pictures[product == n].mean(axis=0) for n in np.unique(product)])
        embedding = images.mean(axis=(1, 2)).astype(np.float32)
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
        response = service_pb2.ModelInferResponse(model_name=MODEL, model_version=VERSION)
        for name, array in [
            ('embedding', embedding),  # in another order than requested
            ('pictures', pictures),
            ('products', products),
        ]:
            tensor = response.outputs.add(name=name, datatype='FP32', shape=array.shape)
            if self.raw:
                response.raw_output_contents.append(array.astype('<f4').tobytes())
            else:
                tensor.contents.fp32_contents.extend(array.ravel().tolist())
        return response


@contextlib.contextmanager
def serve(*, raw: bool = True) -> Iterator[tuple[str, Network]]:
    """Yields the address of a server and its network."""
    network = Network(raw=raw)
    server = grpc.server(ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(network, server)
    port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    try:
        yield f'127.0.0.1:{port}', network
    finally:
        network.go_on.set()
        server.stop(None).wait()
