"""Is this process alive, and can it work? Two small HTTP answers for whoever supervises it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

Check = Callable[[], Awaitable[str | None]]
"""Returns None when all is well, else what is not."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: it drains its work first."""
        yield


@contextlib.asynccontextmanager
async def health_endpoint(address: str | None, checks: dict[str, Check]) -> AsyncIterator[None]:
    """Serve `/healthz` (the process runs) and `/readyz` (every check passes) at `HOST:PORT` while the body runs."""
    if address is None:
        yield
        return
    host, _, port = address.rpartition(":")
    server = _Server(uvicorn.Config(_app(checks), host=host, port=int(port), log_level="warning", access_log=False))
    task = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await task


def _app(checks: dict[str, Check]) -> Starlette:
    async def healthz(request: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def readyz(request: Request) -> JSONResponse:
        found = {name: await check() for name, check in checks.items()}
        bad = {name: fault for name, fault in found.items() if fault is not None}
        return JSONResponse({"status": "not ready" if bad else "ready", "faults": bad}, status_code=503 if bad else 200)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz)])
