"""Who changes several accounts at once, and who notes that their client is refused, never wait for each other."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select, update

from auth.credential import OpenAccount
from storage.schema import accounts, token_clients, tokens
from storage.token_hosts import stop_client
from storage.tokens import TokenRow, lock_token
from tests.fixtures.refreshing import CLIENT, Bench, client_credentials

HOST, SHARED = "auth.example.com", "c"


async def corrected(bench: Bench) -> None:
    await bench.define(client_credentials(f"https://{HOST}/token", auth={"scopes": ["read"]}))


async def with_another_secret(bench: Bench) -> None:
    await bench.accounts.set_integration_secrets("of-main", {"client_secret": "another-client-secret"})


async def refused_accounts(bench: Bench) -> list[OpenAccount]:
    """Three of one integration and one client, which is refused, by their ids; their names have the opposite order."""
    made = [await bench.connect(client_credentials(f"https://{HOST}/token"))]
    for name in ("another", "a-third"):
        await bench.accounts.create(name, "of-main", {}, CLIENT)
        made.append(await bench.open(name))
    made.sort(key=lambda each: each.account.id)
    async with bench.database.write() as connection:
        for each, name in zip(made, ("c", "b", "a"), strict=True):
            await connection.execute(update(accounts).where(accounts.c.id == each.account.id).values(name=name))
        await stop_client(connection, SHARED, HOST, "invalid_client", 3600)
        refused = {"token_client": SHARED, "token_host": HOST, "last_error": "permanent_client:invalid_client"}
        await connection.execute(update(tokens).values(refused))
    return made


@pytest.mark.parametrize("change", [corrected, with_another_secret])
@pytest.mark.parametrize("held", [0, 1, 2])
async def test_a_client_is_refused_while_what_is_asked_with_is_changed(
    bench: Bench, change: Callable[[Bench], Awaitable[None]], held: int
) -> None:
    refused = await refused_accounts(bench)
    async with bench.database.write() as connection:
        await lock_token(connection, refused[held].account.id)
        changing = asyncio.ensure_future(change(bench))
        await asyncio.wait({changing}, timeout=0.5)  # as far as it gets
        await stop_client(connection, SHARED, HOST, "invalid_client", 3600)
    await changing
    assert [(await bench.row(each)).last_error for each in refused] == [None] * 3
    assert await refused_clients(bench) == []


@pytest.mark.parametrize("change", [corrected, with_another_secret])
async def test_the_tokens_of_an_integration_are_locked_in_one_order(
    bench: Bench, change: Callable[[Bench], Awaitable[None]]
) -> None:
    first, *others = [each.account.id for each in await refused_accounts(bench)]
    async with bench.database.write() as connection:
        await lock_token(connection, first)
        changing = asyncio.ensure_future(change(bench))
        await asyncio.wait({changing}, timeout=0.5)  # as far as it gets
        later = [await lock_token(connection, each) for each in others]
    await changing
    assert [type(each) for each in later] == [TokenRow] * 2


async def refused_clients(bench: Bench) -> list[str]:
    async with bench.database.read() as connection:
        return list(await connection.scalars(select(token_clients.c.client)))
