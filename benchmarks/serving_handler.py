"""The least that a gRPC server in Python does, a process of benchmarks.serving_floor.

python -m benchmarks.serving_handler FOLDER [MODEL]

Its handler answers the bytes of one response. With MODEL, it runs the model on one photo before.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.serving_files import photos
from serving.protocol import messages, tensors
from serving.runtimes.opening import open_model

_ANSWER_BYTES = 575  # of a top 5 with three levels


def main() -> None:
    """Serves until it is terminated."""
    folder, *models = sys.argv[1:]
    run = _model(models[0], photos(Path(folder), 1)) if models else lambda: bytes(_ANSWER_BYTES)

    def predict(request: bytes, context: Any) -> bytes:
        del request, context
        return run()

    server = grpc.server(ThreadPoolExecutor(), options=[('grpc.so_reuseport', 0)])
    handler = grpc.unary_unary_rpc_method_handler(predict)
    server.add_registered_method_handlers(
        'tensorflow.serving.PredictionService', {'Predict': handler}
    )
    port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    print(f'ready 127.0.0.1:{port}', flush=True)
    threading.Event().wait()


def _model(path: str, photo: list[bytes]) -> Any:
    model = open_model(path)
    inputs = {'image_bytes': np.array(photo, object)}
    response = messages.PredictResponse()
    for name, array in model.run('', inputs).items():
        tensors.write_array(response.outputs[name], array)
    answer: bytes = response.SerializeToString()

    def run() -> bytes:
        model.run('', inputs)
        return answer

    return run


if __name__ == '__main__':
    main()
