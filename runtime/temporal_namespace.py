"""Make a fresh Temporal server ready for runs: namespace, retention, search attributes."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from runtime.search_attributes import register_search_attributes
from runtime.telemetry import quiet_runtime

RETENTION = timedelta(days=30)
"""How long closed runs can be read, and how long a caller's key is remembered. A development server has one day."""


async def prepare_namespace(address: str, namespace: str, *, limit: float, still_starting: Callable[[], None]) -> None:
    """Wait until the server at `address` answers, then give it the namespace.

    `still_starting` is called between attempts and may raise to give up.

    Raises:
        TimeoutError: it does not answer within `limit` seconds.
    """
    deadline = time.monotonic() + limit
    client = await _connected(address, namespace, deadline, still_starting)
    while (fault := await _prepare(client)) is not None:
        await _again(deadline, still_starting, fault)


async def _connected(address: str, namespace: str, deadline: float, still_starting: Callable[[], None]) -> Client:
    while True:
        try:
            return await Client.connect(address, namespace=namespace, runtime=quiet_runtime())
        except RuntimeError as error:  # the SDK's word for "nobody answers"
            await _again(deadline, still_starting, error)


async def _prepare(client: Client) -> RPCError | None:
    """What is still in the way: a fresh namespace reaches a server's services one after the other."""
    try:
        await _retain(client)
        await register_search_attributes(client)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            await _register(client)
        return error
    return None


async def _retain(client: Client) -> None:
    found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    if found.config.workflow_execution_retention_ttl.ToTimedelta() >= RETENTION:
        return
    update = UpdateNamespaceRequest(namespace=client.namespace)
    update.config.workflow_execution_retention_ttl.FromTimedelta(RETENTION)
    await client.workflow_service.update_namespace(update)


async def _register(client: Client) -> None:
    request = RegisterNamespaceRequest(namespace=client.namespace)
    request.workflow_execution_retention_period.FromTimedelta(RETENTION)
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


async def _again(deadline: float, still_starting: Callable[[], None], error: Exception) -> None:
    still_starting()
    if time.monotonic() > deadline:
        raise TimeoutError(str(error)) from None
    await asyncio.sleep(0.05)
