"""Is this process alive, and can it work? Two small HTTP answers for whoever supervises it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from runtime.http_server import http_server, listen

Check = Callable[[], Awaitable[str | None]]
"""Returns None when all is well, else what is not."""

CHECK_SECONDS = 8.0
"""Supervisors give up on a probe sooner or later: a check that hangs is a fault like any other."""


class HealthAddressTaken(Exception):
    """The health endpoint's address cannot be bound."""


@contextlib.asynccontextmanager
async def health_endpoint(address: str | None, checks: dict[str, Check]) -> AsyncIterator[None]:
    """Serve `/healthz` (the process runs) and `/readyz` (every check passes) at `HOST:PORT` while the body runs.

    Raises:
        HealthAddressTaken: nothing can be served there.
    """
    if address is None:
        yield
        return
    with _bound(address) as listener:
        async with http_server(_config(Starlette(routes=health_routes(checks))), listener):
            yield


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(app, lifespan="off", log_config=None, log_level="warning", access_log=False)


def _bound(address: str) -> socket.socket:
    try:
        return listen(address)
    except OSError as error:
        raise HealthAddressTaken(
            f"the health endpoint cannot be served at {address} ({error.strerror}): set TIELINE_HEALTH_ADDRESS to "
            "another HOST:PORT"
        ) from None


def health_routes(checks: dict[str, Check]) -> list[Route]:
    """`/healthz`: the process runs; `/readyz`: every check passes."""

    async def healthz(request: Request) -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def readyz(request: Request) -> JSONResponse:
        found = await asyncio.gather(*(_fault(check) for check in checks.values()))
        bad = {name: fault for name, fault in zip(checks, found, strict=True) if fault is not None}
        return JSONResponse({"status": "not ready" if bad else "ready", "faults": bad}, status_code=503 if bad else 200)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


async def _fault(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} seconds"
    except Exception as error:
        # The text of an error that nobody foresaw may hold anything; whoever asks here has not said who they are.
        return f"the check itself failed ({type(error).__name__})"
