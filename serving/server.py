"""Both ports in one process: bound, loaded, ready, and stopped without losing a request."""

import os
import signal
import socket
import threading
from collections.abc import Callable

import grpc
import tensorflow as tf
import uvicorn
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import OVERALL_HEALTH, HealthServicer

from catalog.errors import UserError
from serving import grpc_service, rest
from serving.model_versions import ModelVersions
from serving.server_options import ServerOptions

GRACE_SECONDS = 30  # for accepted requests after SIGTERM; as long as a REST request may take
SERVICES = (
    OVERALL_HEALTH,
    'tensorflow.serving.PredictionService',
    'tensorflow.serving.ModelService',
)


def run(
    options: ServerOptions, *, ready: Callable[[str], None], report: Callable[[str], None]
) -> None:
    """Serves until SIGTERM or Ctrl-C, then lets accepted requests finish.

    Args:
      options: where the model is and where to listen.
      ready: takes the line that says where both ports are, once both answer.
      report: takes one line for the operator: versions loaded, versions that fail.

    Raises:
      UserError: for a port in use, a missing folder, or no version that loads.
    """
    tf.get_logger().setLevel('ERROR')  # the loader's advice to use another API
    versions = ModelVersions(options.model_name, options.model_base_path, report=report)
    health = HealthServicer()
    grpc_server = grpc_service.server(versions, health, threads=max(8, 4 * (os.cpu_count() or 1)))
    stop = threading.Event()
    with _bind(options.host, options.rest_port) as rest_socket:
        grpc_port = _add_port(grpc_server, options.host, options.grpc_port)
        version = versions.load_first()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: stop.set())
        rest_server, rest_thread = _start_rest(versions, rest_socket, options=options)
        try:
            grpc_server.start()
            for service in SERVICES:
                health.set(service, health_pb2.HealthCheckResponse.SERVING)
            ready(
                f'ready: model {options.model_name} version {version}, '
                f'gRPC {options.host}:{grpc_port}, '
                f'REST http://{options.host}:{rest_socket.getsockname()[1]}'
            )
            if options.poll_seconds:
                watch = threading.Thread(
                    target=versions.watch, args=[options.poll_seconds], kwargs={'until': stop}
                )
                watch.start()
            stop.wait()
        finally:  # the process would live on in its threads, deaf to SIGTERM
            stop.set()
            health.enter_graceful_shutdown()
            rest_server.should_exit = True
            grpc_server.stop(GRACE_SECONDS).wait()
            rest_thread.join()


def _bind(host: str, port: int) -> socket.socket:
    """A socket that is bound but does not listen: until ready, a client is refused at once."""
    rest_socket = socket.socket()
    rest_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        rest_socket.bind((host, port))
    except OSError as error:
        rest_socket.close()
        raise UserError(
            f'--rest_api_port: must be free on --host, got {host}:{port}: {error.strerror}'
        ) from error
    return rest_socket


def _add_port(grpc_server: grpc.Server, host: str, port: int) -> int:
    try:
        return int(grpc_server.add_insecure_port(f'{host}:{port}'))
    except RuntimeError as error:
        raise UserError(f'--port: must be free on --host, got {host}:{port}') from error


def _start_rest(
    versions: ModelVersions, rest_socket: socket.socket, *, options: ServerOptions
) -> tuple[uvicorn.Server, threading.Thread]:
    server = uvicorn.Server(
        uvicorn.Config(
            rest.application(versions, timeout_seconds=options.rest_timeout_seconds),
            log_level='warning',
            lifespan='off',
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={'sockets': [rest_socket]}, name='rest')
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.01)
    return server, thread
