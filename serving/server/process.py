"""The server process: both ports bound, the model loaded, a graceful shutdown."""

import functools
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import grpc
import tensorflow as tf
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import OVERALL_HEALTH, HealthServicer

from catalog.errors import UserError
from serving.batching.admission import Admission, max_requests
from serving.config.tls import Tls
from serving.listening import listener
from serving.models.loading import Loader
from serving.models.models import Models
from serving.monitoring.endpoint import MetricsEndpoint
from serving.rest import app as rest_app
from serving.rest import server as rest_server
from serving.rest.app import RestOptions
from serving.rest.decoder import Decoder
from serving.server import config_watch, grpc_service
from serving.server.in_flight import InFlight
from serving.server.options import ServerOptions

GRACE_SECONDS = 20  # for accepted requests after SIGTERM; Kubernetes waits for 30
EXIT_SECONDS = 25  # after SIGTERM, even if a run cannot be stopped
HEALTH_SERVICES = (OVERALL_HEALTH, 'PredictionService', 'ModelService')  # TensorFlow Serving's


def serve(
    options: ServerOptions,
    *,
    on_ready: Callable[[str], None],
    report: Callable[[str], None],
) -> None:
    """Serves until SIGTERM or Ctrl-C, then completes the accepted requests.

    Args:
      options: Which models to serve, and where to listen.
      on_ready: Receives one line with both addresses once both ports accept requests.
      report: Receives one line for the operator about each version that loads or fails.

    Raises:
      UserError: If a port is in use, the folder is missing, or a model has no version that loads.
    """
    tf.get_logger().setLevel('ERROR')  # hides deprecation warnings of the TensorFlow 1 loader
    models = _build_models(options, report)
    health = HealthServicer() if options.grpc_health else None
    in_flight = InFlight()
    grpc_server = grpc_service.build_server(
        models,
        health,
        in_flight,
        threads=options.grpc_threads,
        read_seconds=options.read_seconds,
        max_request_bytes=options.max_request_bytes,
    )
    stop = threading.Event()
    with rest_server.bind(options.host, options.rest_port) as rest_socket:
        with listener.bind(options.host, options.grpc_port) as reserved:
            models.configure(options.models)
            # gRPC would accept connections from here on, and let them wait for the model.
            grpc_port = _add_port(
                grpc_server, options.host, reserved.getsockname()[1], tls=options.tls
            )
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: stop.set())
        decoder = Decoder()
        application: Any = rest_app.build_application(models, decoder, _rest_options(options))
        if options.metrics_path:
            application = MetricsEndpoint(application, models.metrics, path=options.metrics_path)
        rest = rest_server.RestServer(
            application,
            rest_socket,
            grace_seconds=GRACE_SECONDS,
            read_seconds=options.read_seconds,
            max_request_bytes=options.max_request_bytes,
        )
        rest.start()
        try:
            grpc_server.start()
            if health:
                for service in HEALTH_SERVICES:
                    health.set(service, health_pb2.HealthCheckResponse.SERVING)
            on_ready(
                f'ready: {_describe(models)}, '
                f'gRPC {options.host}:{grpc_port}, '
                f'REST http://{options.host}:{rest_socket.getsockname()[1]}'
            )
            _start_watching(models, options, until=stop, report=report)
            stop.wait()
        finally:  # otherwise the threads keep the process alive, and it ignores SIGTERM
            stop.set()
            _exit_later(report)
            if health:
                health.enter_graceful_shutdown()
            rest.stop()
            stopped = grpc_server.stop(GRACE_SECONDS)
            in_flight.wait_until_idle(GRACE_SECONDS)
            grpc_server.stop(None)
            stopped.wait()
            rest.join()
            decoder.close()


def _rest_options(options: ServerOptions) -> RestOptions:
    return RestOptions(
        timeout_seconds=options.rest_timeout_seconds,
        max_request_bytes=options.max_request_bytes,
        cors=options.cors,
        threads=options.rest_threads,
    )


def _exit_later(report: Callable[[str], None]) -> None:
    """Ends the process after EXIT_SECONDS: a run without a deadline cannot be stopped."""

    def exit_now() -> None:
        report(f'error: requests did not complete within {EXIT_SECONDS} s and were cut off')
        os._exit(1)

    timer = threading.Timer(EXIT_SECONDS, exit_now)
    timer.daemon = True
    timer.start()


def _build_models(options: ServerOptions, report: Callable[[str], None]) -> Models:
    loader = Loader(
        digests_key=options.digests_key,
        batching=options.batching,
        admission=Admission(max_requests(min(options.grpc_threads, options.rest_threads))),
    )
    return Models(
        loader=loader, report=report, labels_for_unavailable=options.labels_for_unavailable
    )


def _start_watching(
    models: Models,
    options: ServerOptions,
    *,
    until: threading.Event,
    report: Callable[[str], None],
) -> None:
    """Starts the threads that follow the model folders and the config file."""
    if options.poll_seconds:
        watch = functools.partial(models.watch, options.poll_seconds, until=until)
        threading.Thread(target=watch, name='versions').start()
    if options.config_file and options.config_poll_seconds:
        watch = functools.partial(
            config_watch.watch,
            options.config_file,
            models,
            every_seconds=options.config_poll_seconds,
            until=until,
            report=report,
        )
        threading.Thread(target=watch, name='config').start()


def _describe(models: Models) -> str:
    """Returns for example `model a version 1, model b versions 3 2`."""
    return ', '.join(
        f'model {name} version{"s" if len(versions) > 1 else ""} {" ".join(map(str, versions))}'
        for name, versions in models.available.items()
    )


def _add_port(grpc_server: grpc.Server, host: str, port: int, *, tls: Tls | None) -> int:
    address = f'{host}:{port}'
    try:
        if not tls:
            return int(grpc_server.add_insecure_port(address))
        credentials = grpc.ssl_server_credentials(
            [(tls.server_key.encode(), tls.server_cert.encode())],
            root_certificates=tls.custom_ca.encode() or None,
            require_client_auth=tls.client_verify,
        )
        return int(grpc_server.add_secure_port(address, credentials))
    except RuntimeError as error:
        raise UserError(f'--port must be free on --host, got {host}:{port}') from error
