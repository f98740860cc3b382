"""Other people's systems: a strict OAuth server, and a shop that takes orders from whoever holds its tokens.

An order has its effect first and is answered a while later, so that what is killed in between has lost the answer.
"""

import asyncio
import json
from collections import Counter

from tests.fixtures.authorization_server import Client, StrictServer
from tests.fixtures.http import Answer, Received, Wire

ON_DEMAND = Client(client_id="on-demand", client_secret="planted-on-demand-secret", lifetime=20)
"""Its tokens live too short for the sweep: calls renew them."""
AHEAD = Client(client_id="ahead", client_secret="planted-ahead-secret", lifetime=300)
"""The shortest life that is renewed ahead."""

CLIENTS = (ON_DEMAND, AHEAD)
ORDERS = "/api/orders"


class Outside(StrictServer):
    """`effects` counts orders by their names, however often they were sent; `at_work` of them are not answered yet."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.effects: Counter[str] = Counter()
        self.at_work = 0
        self.requests = 0
        self.refused = 0
        self.replays = 0
        self.ended_grants = 0
        """By ourselves."""
        self._seconds = seconds
        self._keys: dict[str, str] = {}

    async def start(self) -> None:
        await super().start()
        self.memory.clients.update({client.client_id: client for client in CLIENTS})
        self.on(ORDERS, self._order)

    def redirect_to(self, uri: str) -> None:
        """Register the redirect URI of all clients."""
        for client in CLIENTS:
            client.redirect_uris = (uri,)

    @property
    def families(self) -> int:
        return len({id(token.family) for token in self.memory.tokens})

    @property
    def lost_families(self) -> int:
        """Those that ended though nobody wanted it."""
        ended = {id(token.family) for token in self.memory.tokens if token.family.revoked}
        return len(ended) - self.ended_grants

    def end_newest_grant(self) -> None:
        """As if its person had taken it back at the provider."""
        self.newest.family.revoked = True
        self.ended_grants += 1

    async def _order(self, received: Received, wire: Wire) -> Answer:
        self.requests += 1
        scheme, _, given = (received.header("Authorization") or "").partition(" ")
        if scheme != "Bearer" or not self.memory.honours(given):
            self.refused += 1
            return Answer(401, b"", [("WWW-Authenticate", 'Bearer error="invalid_token"')])
        name = str(json.loads(received.body)["name"])
        replayed = self._perform(name, received.header("Idempotency-Key"))
        self.at_work += 1
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.at_work -= 1
        told = {"order": name, "replayed": replayed}
        return Answer(201, json.dumps(told).encode(), [("Content-Type", "application/json")])

    def _perform(self, name: str, key: str | None) -> bool:
        """Do it, unless its key shows that it is done."""
        if key is not None and self._keys.setdefault(key, name) == name and self.effects[name]:
            self.replays += 1
            return True
        self.effects[name] += 1
        return False
