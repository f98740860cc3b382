"""A token endpoint on loopback: real HTTP, answers by script, a ledger of what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> object:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """One answer; a body that is no bytes goes out as JSON."""

    body: object = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\nConnection: close\r\n\r\n" + content


Script = Callable[[Asked], Awaitable[Answer | None]]


class TokenServer:
    """Answers with `script`, by default with a new token each time; an answer of None closes the connection."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: Script = self.issue
        self.url = ""
        self.port = 0

    async def issue(self, _: Asked) -> Answer:
        """A token numbered by the request, good for an hour."""
        return Answer({"access_token": f"token-{len(self.asked)}", "token_type": "bearer", "expires_in": 3600})

    def answers(self, *answers: Answer) -> None:
        """Give these answers in turn, the last one for ever."""

        async def script(_: Asked) -> Answer:
            return answers[min(len(self.asked), len(answers)) - 1]

        self.script = script

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await _read(reader))
            answer = await self.script(self.asked[-1])
            if answer is not None:
                writer.write(answer.encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return Asked(method, target, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def token_server() -> AsyncIterator[TokenServer]:
    """Serve on a free port of 127.0.0.1 until the end of the block."""
    server = TokenServer()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{server.port}"
    try:
        yield server
    finally:
        listener.close()
