"""The other side: the strict authorization server and an API that takes its tokens; both write everything down."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterable

import psutil

from tests.fixtures.authorization_server import TOKEN, Client, StrictServer, Token
from tests.fixtures.http import Answer, Received, Wire
from tests.fixtures.token_endpoint import params
from tests.soak.ledger import Asked, Ledger, Redemption
from tests.soak.plan import Plan

ORDERS = "/api/orders"
SHORT, LONG = "short", "long"
"""Ids of the OAuth clients, by how long their tokens live."""
CLIENT_SECRET = "planted-client-secret"


class Counterpart(StrictServer):
    """Lives through the whole soak, in the process that kills."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.processes: Callable[[], Iterable[int]] = tuple
        """Who may call."""
        self.memory.grace = plan.grace
        self._plan = plan
        self._random = random.Random(f"{plan.seed} the other side")
        self._callers: dict[int, int | None] = {}
        self._numbers: dict[str, int] = {}
        self._keys: set[str] = set()

    async def start(self) -> None:
        await super().start()
        for name, lifetime in ((SHORT, self._plan.lifetime), (LONG, 3600)):
            self.memory.clients[name] = Client(name, CLIENT_SECRET, lifetime=lifetime)
        self.on(TOKEN, self._redeem)
        self.on(ORDERS, self._order)

    def number_of(self, refresh_token: str | None) -> int | None:
        """The number of a refresh token among all that were issued."""
        for each in self.memory.tokens[len(self._numbers) :]:
            self._numbers[str(each.refresh_token)] = len(self._numbers)
        return self._numbers.get(str(refresh_token))

    def token(self, number: int | None) -> Token | None:
        return None if number is None else self.memory.tokens[number]

    async def _redeem(self, received: Received, wire: Wire) -> Answer:
        spent = self.number_of(params(received).get("refresh_token"))
        if spent is None:  # the code of a consent
            return self._token(received)
        account = str(self.memory.tokens[spent].family.user)
        entry = Redemption(account, spent, self._caller(received, wire), time.monotonic())
        self.ledger.redemptions.append(entry)
        await self._dawdle()
        answer = self._token(received)
        entry.accepted = answer.status == 200
        await self._dawdle()
        entry.left = time.monotonic()
        return answer

    async def _order(self, received: Received, wire: Wire) -> Answer:
        caller = self._caller(received, wire)
        token = self._let_in(received)
        if token is None:
            self.ledger.refused_tokens += 1
            return Answer(401, b"", [("WWW-Authenticate", 'Bearer error="invalid_token"')])
        key = received.header("Idempotency-Key")
        kind = "read" if received.method == "GET" else "keyed" if key else "unsafe"
        order = "" if kind == "read" else str(json.loads(received.body)["id"])
        entry = Asked(order, str(token.family.user), kind, caller, time.monotonic())  # type: ignore[arg-type]
        self.ledger.asked.append(entry)
        await self._dawdle()
        entry.performed = kind == "unsafe" or (key is not None and key not in self._keys)
        self._keys.update([key] if key else [])
        await self._dawdle()
        entry.left = time.monotonic()
        return Answer(200, json.dumps({"id": order}).encode(), [("Content-Type", "application/json")])

    def _let_in(self, received: Received) -> Token | None:
        scheme, _, given = (received.header("Authorization") or "").partition(" ")
        token = self.memory.by_access_token(given)
        if scheme != "Bearer" or token is None or not self.memory.honours(given):
            return None
        alive = time.monotonic() - token.issued_at < self.memory.clients[token.client_id].lifetime
        return token if alive else None

    async def _dawdle(self) -> None:
        await asyncio.sleep(self._random.uniform(0, self._plan.delay))

    def _caller(self, received: Received, wire: Wire) -> int | None:
        """The process at the other end, looked up once for each connection."""
        if received.connection not in self._callers:
            self._callers[received.connection] = _at_port(wire.peer_port, self.processes())
        return self._callers[received.connection]


def _at_port(port: int, processes: Iterable[int]) -> int | None:
    for process in processes:
        try:
            sockets = psutil.Process(process).net_connections("tcp4")
        except psutil.NoSuchProcess:
            continue
        if any(each.laddr and each.laddr.port == port for each in sockets):
            return process
    return None
