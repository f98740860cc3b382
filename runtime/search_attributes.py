"""Make a Temporal server know the search attributes by which operators find runs."""

import asyncio
import time

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from workflows.attributes import ALL

READY_SECONDS = 30.0
"""A cluster's caches learn of a new attribute within seconds."""

_KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD


class SearchAttributesMissing(Exception):
    """The server lacks Tieline's search attributes and does not let this client add them."""


async def register_search_attributes(client: Client) -> None:
    """Register in the client's namespace what is missing there, and wait until it can be used. Idempotent.

    Raises:
        SearchAttributesMissing: with the command that an administrator can run.
    """
    names = [key.name for key in ALL]
    try:
        types = await _types(client)
    except RPCError as error:
        if error.status not in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED):
            raise
        await _usable(client, names, limit=0)
        return
    wrong = [name for name in names if types.get(name, _KEYWORD) != _KEYWORD]
    if wrong:
        raise SearchAttributesMissing(
            f"namespace {client.namespace!r} has {', '.join(wrong)} with a type other than Keyword: "
            "use another namespace (TIELINE_TEMPORAL_NAMESPACE)"
        )
    missing = [name for name in names if name not in types]
    if missing:
        await _add(client, missing)
        await _usable(client, missing, limit=READY_SECONDS)


async def _types(client: Client) -> dict[str, int]:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    return dict((await client.operator_service.list_search_attributes(request)).custom_attributes)


async def _add(client: Client, names: list[str]) -> None:
    request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=dict.fromkeys(names, _KEYWORD))
    try:
        await client.operator_service.add_search_attributes(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise _missing(client.namespace, names, error.message) from None


async def _usable(client: Client, names: list[str], *, limit: float) -> None:
    query = " OR ".join(f"{name} = ''" for name in names)
    deadline = time.monotonic() + limit
    while True:
        try:
            await client.count_workflows(query)
            return
        except RPCError as error:
            if time.monotonic() >= deadline:
                raise _missing(client.namespace, names, error.message) from None
        await asyncio.sleep(0.2)


def _missing(namespace: str, names: list[str], reason: str) -> SearchAttributesMissing:
    command = f"temporal operator search-attribute create --namespace {namespace}"
    command += "".join(f" --name {name} --type Keyword" for name in names)
    return SearchAttributesMissing(
        f"namespace {namespace!r} has no search attributes {', '.join(names)} and they cannot be added ({reason}): "
        f"ask its administrator to run `{command}`"
    )
