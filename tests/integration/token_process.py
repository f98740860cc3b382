"""A real process that gets tokens: one JSON order per line in, one JSON answer per line out.

An order says where (`database_url`, `key_file`), for which `account`, how many `callers` at once, and by what `timing`.
With `callback` and `cookie` the process takes what a provider sent a browser back with, instead. With `dies` it ends
itself by SIGKILL, and with `sleeps` it stops itself by SIGSTOP, at a named point.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.connect import Connector
from auth.errors import CredentialError
from auth.exchange import Exchange
from auth.keys import from_file
from auth.refresh import Refresher
from auth.refresh_plan import Timing
from auth.resolver import CredentialResolver
from auth.vault import Vault
from net.client import GuardedClient
from net.egress import AllowRule, EgressPolicy
from storage.database import Database
from storage.definitions import DefinitionStore

POINTS = {
    "before_storing_the_answer": 2,
    "before_the_swap": 3,
    "before_storing_the_answer_to_a_code": 3,
    "before_the_swap_of_a_consent": 4,
}
"""Which transaction of a redemption begins there; the first one is the claim, after the state's where there is one."""


class SignalledDatabase(Database):
    """Sends its own process a signal when one of the writing transactions is about to begin."""

    def __init__(self, url: str, at: int, signal_number: signal.Signals) -> None:
        super().__init__(url)
        self._left = at
        self._signal = signal_number

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._signal)
        async with super().write() as connection:
            yield connection


async def obey(order: dict[str, Any]) -> list[dict[str, Any]]:
    database = _database(order)
    vault = Vault(database, from_file(Path(order["key_file"])))
    http = GuardedClient(EgressPolicy([AllowRule.parse("127.0.0.1")]))
    refresher = Refresher(database, vault, http, Timing(**order["timing"]))
    resolver = CredentialResolver(database, vault, DefinitionStore(database), refresher)
    exchange = Exchange(database, vault, http, Timing(**order["timing"]))
    try:
        if "callback" in order:
            made = await Connector(database, vault, resolver, exchange, http).finish(order["callback"], order["cookie"])
            return [{"told": made.told}]
        return await asyncio.gather(*(_outcome(resolver, order["account"]) for _ in range(order["callers"])))
    finally:
        await refresher.drain()
        await http.aclose()
        await database.dispose()


def _database(order: dict[str, Any]) -> Database:
    if point := order.get("dies"):
        return SignalledDatabase(order["database_url"], POINTS[point], signal.SIGKILL)
    if point := order.get("sleeps"):
        return SignalledDatabase(order["database_url"], POINTS[point], signal.SIGSTOP)
    return Database(order["database_url"])


async def _outcome(resolver: CredentialResolver, account: str) -> dict[str, Any]:
    try:
        credential = await resolver.resolve_account(account)
    except CredentialError as error:
        return {"error": error.code}
    return {"token": credential.values["token"].reveal(), "version": credential.token_version}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(asyncio.run(obey(json.loads(line)))), flush=True)
