"""Writes each request of the well-behaved systems into the ledger."""

from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.externalsystems.ledger import Ledger


class Recording:
    """ASGI middleware. Paths that begin with `/_` are the observer's own and are not recorded."""

    def __init__(self, app: ASGIApp, ledger: Ledger) -> None:
        self._app = app
        self._ledger = ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_"):
            await self._app(scope, receive, send)
            return
        query = [name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)]
        entry = self._ledger.received(scope["method"], scope["path"], query, scope["headers"])

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            await send(message)

        await self._app({**scope, "ledger.entry": entry}, receive, recorded)
