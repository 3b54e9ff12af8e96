"""Sends operations over gRPC with a kept connection, on asyncio."""

from typing import Any, TypeVar

import grpc

from serving.operations.endpoint import Endpoint
from serving.operations.operation import Operation
from serving.transports import grpc_channel, retry
from serving.transports.options import ConnectionOptions, Retries

Result = TypeVar('Result')


class AsyncGrpcTransport:
    """The gRPC services of a server. Belongs to one event loop.

    Args:
      endpoint: The model.
      options: How to connect.
    """

    def __init__(self, endpoint: Endpoint, options: ConnectionOptions) -> None:
        self._endpoint = endpoint
        self._metadata = options.metadata()
        settings = grpc_channel.channel_options(options)
        if options.tls:
            credentials = grpc_channel.credentials(options.tls)
            self._channel = grpc.aio.secure_channel(endpoint.server, credentials, settings)
        else:
            self._channel = grpc.aio.insecure_channel(endpoint.server, settings)

    async def call(
        self, operation: Operation[Result], *, deadline_seconds: float, retries: Retries
    ) -> Result:
        """Returns the result of an operation.

        Raises:
          ServingError: If it fails.
        """
        message = operation.to_message(self._endpoint)
        call = self._channel.unary_unary(
            grpc_channel.SERVICES + operation.rpc,
            request_serializer=type(message).SerializeToString,
            response_deserializer=operation.response_class.FromString,
        )

        async def attempt(left_seconds: float) -> Any:
            try:
                return await call(message, timeout=left_seconds, metadata=self._metadata)
            except grpc.RpcError as error:
                raise grpc_channel.call_error(self._endpoint, error) from error

        response = await retry.run_async(
            attempt, retries=retries, deadline_seconds=deadline_seconds
        )
        try:
            return operation.parse_message(response)
        except ValueError as error:
            raise grpc_channel.invalid_response(self._endpoint, error) from error

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()
