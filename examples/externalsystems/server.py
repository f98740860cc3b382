"""All systems in one process: uvicorn for those that behave, bare streams for the one that does not."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from examples.externalsystems.answers import Refused, refusal
from examples.externalsystems.bank import Bank
from examples.externalsystems.control import Control
from examples.externalsystems.crm import Crm
from examples.externalsystems.flaky import HOST, Flaky
from examples.externalsystems.giphy import Giphy
from examples.externalsystems.ledger import Ledger
from examples.externalsystems.recording import Recording
from examples.externalsystems.twitter import Twitter

GRACE_SECONDS = 2


class Systems:
    """The systems under way. `server` and `flaky_server` are host and port, as the parameter `server` takes them."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.twitter = Twitter(self.ledger)
        self.bank = Bank(self.ledger)
        self.flaky = Flaky(self.ledger)
        self.server = ""
        self.flaky_server = ""

    @property
    def base_url(self) -> str:
        return f"http://{self.server}"

    @property
    def flaky_url(self) -> str:
        return f"http://{self.flaky_server}"

    def app(self) -> Starlette:
        """The well-behaved ones."""
        control = Control(self.ledger, {"twitter": self.twitter.tokens, "bank": self.bank.tokens})
        return Starlette(
            routes=[
                *self.twitter.routes(),
                *Giphy().routes(),
                *Crm(self.ledger).routes(),
                *self.bank.routes(),
                *control.routes(),
            ],
            middleware=[Middleware(Recording, ledger=self.ledger)],
            exception_handlers={Refused: refusal},
        )


@contextlib.asynccontextmanager
async def serve(port: int = 0, flaky_port: int = 0) -> AsyncIterator[Systems]:
    """Serve on 127.0.0.1 for the length of the block; port 0 takes a free one.

    Raises:
        OSError: a port is taken.
    """
    systems = Systems()
    with socket.create_server((HOST, port)) as listener:
        systems.server = f"{HOST}:{listener.getsockname()[1]}"
        await systems.flaky.open(flaky_port)
        systems.flaky_server = f"{HOST}:{systems.flaky.port}"
        try:
            async with _web_server(systems.app(), listener):
                yield systems
        finally:
            await systems.flaky.close()


class _WebServer(uvicorn.Server):
    """Says when it serves, and leaves the signals to whoever holds the block."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.get_running_loop().create_future()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set_result(None)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def _web_server(app: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=GRACE_SECONDS
    )
    server = _WebServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.wait({serving, server.ready}, return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        server.should_exit = True
        await serving
