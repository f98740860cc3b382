"""The connect pages on this machine alone, for as long as somebody waits for a consent."""

import contextlib
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from auth.connect import Connector
from gateway.connect import connect_routes
from runtime.http_server import http_server, listen

HOST = "127.0.0.1"


class PortTaken(Exception):
    """The connect pages cannot be served: the redirect URI names a port that something else holds."""


@contextlib.asynccontextmanager
async def serving_connect(connector: Connector, port: int) -> AsyncIterator[str]:
    """Serve the connect pages while the body runs; yields their base URL.

    Raises:
        PortTaken: another port needs another redirect URI at the provider, so none is chosen here.
    """
    app = Starlette(
        routes=list(connect_routes(connector)),
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])],
    )
    # No access log: the callback's query holds a code.
    config = uvicorn.Config(app, lifespan="off", log_config=None, log_level="warning", access_log=False)
    try:
        listener = listen(f"{HOST}:{port}")
    except OSError as error:
        raise PortTaken(f"port {port} of {HOST} cannot be used ({error.strerror}): choose another by --port") from None
    with listener:
        async with http_server(config, listener):
            yield f"http://{HOST}:{listener.getsockname()[1]}"
