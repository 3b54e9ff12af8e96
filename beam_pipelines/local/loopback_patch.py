"""Patches Beam's local runners, so that their servers listen on the loopback interface only.

As of Beam 2.77, the servers for worker processes (control, data, state, logging, and one for the
log of each worker) listen on all interfaces, without authentication: whoever reaches them gets the
job's steps and data. Workers of this machine find them at `localhost`. No option changes this.
"""

import importlib
from typing import Any

import grpc

_ALL, _LOOPBACK = '[::]:', '127.0.0.1:'
_MODULES = (
    'apache_beam.runners.portability.fn_api_runner.worker_handlers',
    'apache_beam.runners.portability.local_job_service',
    'apache_beam.runners.worker.worker_pool_main',
)


def patch() -> bool:
    """Patches the runners of this process. Returns False if Beam has changed."""
    modules = [importlib.import_module(name) for name in _MODULES]
    for module in modules:
        if getattr(module, 'grpc', None) is grpc:
            module.grpc = _LoopbackGrpc()  # type: ignore[attr-defined]
    return all(isinstance(getattr(module, 'grpc', None), _LoopbackGrpc) for module in modules)


class _LoopbackGrpc:
    """Stands for the module grpc. Its servers listen on loopback instead of all interfaces."""

    def __getattr__(self, name: str) -> Any:
        return getattr(grpc, name)

    def server(self, *arguments: Any, **options: Any) -> Any:
        """Returns a server."""
        server = grpc.server(*arguments, **options)
        add_port = server.add_insecure_port

        def add_loopback_port(address: str) -> Any:
            return add_port(address.replace(_ALL, _LOOPBACK))

        server.add_insecure_port = add_loopback_port
        return server
