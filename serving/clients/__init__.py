"""Owns the clients of a served model, sync and async, over REST and gRPC. Imports no TensorFlow.

`Client` and `AsyncClient` have the same methods. docs/clients.md has examples.
"""

from serving.clients.async_client import AsyncClient
from serving.clients.client import Client
from serving.clients.prediction import Prediction, RankedCategory
from serving.operations.errors import ServingError
from serving.protocol.status import Code
from serving.transports.options import ConnectionOptions, Retries, Tls

__all__ = [
    'AsyncClient',
    'Client',
    'Code',
    'ConnectionOptions',
    'Prediction',
    'RankedCategory',
    'Retries',
    'ServingError',
    'Tls',
]
