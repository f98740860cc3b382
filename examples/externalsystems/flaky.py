"""The misbehaving system: `ANY /flaky/{script}/{name}` does what the script says to each request for that name.

It speaks HTTP/1.1 over bare streams, since a web server cannot be told to cut its own connections. It honours
`Idempotency-Key`: a key that had its effect has no second one.
"""

import asyncio
import json
from collections import Counter
from urllib.parse import parse_qsl, unquote

import h11

from examples.externalsystems.ledger import Entry, Ledger
from examples.externalsystems.script import ScriptError, Step, parse_script
from examples.externalsystems.wire import Wire

HOST = "127.0.0.1"
BODILESS = frozenset({204, 205, 304})


class Flaky:
    """Serves between `open` and `close`."""

    def __init__(self, ledger: Ledger) -> None:
        self.port = 0
        self._ledger = ledger
        self._asked: Counter[tuple[str, str]] = Counter()
        self._keys: set[tuple[str, str]] = set()
        self._conversations: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def open(self, port: int) -> None:
        self._listener = await asyncio.start_server(self._accept, HOST, port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End every conversation, also those that wait."""
        assert self._listener is not None
        self._listener.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await self._listener.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.create_task(self._converse(Wire(reader, writer)))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _converse(self, wire: Wire) -> None:
        try:
            while (request := await wire.request()) is not None:
                await self._answer(wire, request)
                wire.next()
        except (ConnectionError, h11.ProtocolError):
            pass
        finally:
            await wire.close()

    async def _answer(self, wire: Wire, request: h11.Request) -> None:
        path, _, query = request.target.decode("latin-1").partition("?")
        names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
        entry = self._ledger.received(request.method.decode(), unquote(path), names, request.headers)
        try:
            name, step = self._step_for(entry.path)
        except ScriptError as error:
            await wire.body()
            entry.status = 400
            await wire.answer(400, json.dumps({"error": str(error)}).encode())
        else:
            await self._play(wire, entry, step, name)

    def _step_for(self, path: str) -> tuple[str, Step]:
        match path.split("/"):
            case ["", "flaky", script, name] if name:
                steps = parse_script(script)
                self._asked[script, name] += 1
                return name, steps.step(self._asked[script, name])
            case _:
                raise ScriptError("expected the path /flaky/SCRIPT/NAME")

    async def _play(self, wire: Wire, entry: Entry, step: Step, name: str) -> None:
        if step.action == "unread":
            await wire.cut("rst")
            return
        await wire.body()
        replayed = step.effect and not self._perform(entry, name)
        await asyncio.sleep(step.wait)
        if step.action == "cut":
            await wire.cut(step.by)
            return
        entry.status = step.status
        content = self._content(entry, step, name, replayed)
        if step.action == "truncate":
            await wire.truncated_answer(step.status, content)
        elif step.action == "drip":
            await wire.answer(step.status, content, every=step.every)
        else:
            await wire.answer(step.status, content, retry_after=step.after)

    def _perform(self, entry: Entry, name: str) -> bool:
        """Do the thing, unless its key shows that it is done; whether it was done now."""
        key = entry.idempotency_key
        if key is not None and (name, key) in self._keys:
            return False
        if key is not None:
            self._keys.add((name, key))
        self._ledger.performed(entry, name)
        return True

    def _content(self, entry: Entry, step: Step, name: str, replayed: bool) -> bytes:
        if entry.method == "HEAD" or step.status in BODILESS:
            return b""
        body = {"name": name, "status": step.status, "effects": self._ledger.effects(name), "replayed": replayed}
        return json.dumps(body).encode().ljust(step.bytes if step.action == "drip" else 0)
