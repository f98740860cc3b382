"""Servers that refuse administration, which the real one of the tests does not."""

from typing import Any, cast

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from runtime.search_attributes import SearchAttributesMissing, register_search_attributes


class Refusing:
    """A client of a server that lets it run workflows, and knows Tieline's attributes or not."""

    namespace = "shared"

    def __init__(self, *, knows_attributes: bool) -> None:
        self.operator_service = self
        self.knows_attributes = knows_attributes

    async def list_search_attributes(self, request: Any) -> Any:
        raise RPCError("Request unauthorized.", RPCStatusCode.PERMISSION_DENIED, b"")

    async def count_workflows(self, query: str) -> Any:
        if not self.knows_attributes:
            raise RPCError("column name 'TielineAdapter' is not defined", RPCStatusCode.INVALID_ARGUMENT, b"")


async def test_a_server_that_refuses_administration_but_has_the_attributes_is_accepted() -> None:
    await register_search_attributes(cast(Client, Refusing(knows_attributes=True)))


async def test_a_server_that_refuses_administration_and_lacks_them_is_refused_with_the_command_to_run() -> None:
    with pytest.raises(SearchAttributesMissing) as missing:
        await register_search_attributes(cast(Client, Refusing(knows_attributes=False)))

    assert (
        "temporal operator search-attribute create --namespace shared --name TielineAdapter --type Keyword "
        "--name TielineProfile --type Keyword"
    ) in str(missing.value)
