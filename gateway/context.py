"""Around every request: its id, the headers of every answer, a line in the log, the metrics."""

import logging
import re
import time
import uuid
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import Metrics
from gateway.problems import problem_of, problem_response

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer that does not set its own."""


class Context:
    """ASGI middleware, the outermost: nothing leaves it unanswered."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id, started = _request_id(Headers(scope=scope)), time.perf_counter()
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            log.exception("request %s failed", request_id)
            if not status:
                await problem_response(problem_of(error), request_id)(scope, receive, answer)
        finally:
            self._tell(scope, status, time.perf_counter() - started)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        """The route's pattern, never the path or query as they came: whatever stands in them stays out of the log."""
        route = getattr(scope.get("route"), "path", "(none)")
        caller = scope["state"].get("caller")
        self._metrics.answered(scope["method"], route, status, seconds)
        log.info(
            "%s %s %d in %.0f ms%s  request_id=%s",
            scope["method"],
            route,
            status,
            1000 * seconds,
            f" by token {caller.token}" if caller is not None and caller.token else "",
            scope["state"]["request_id"],
        )


def _request_id(headers: Headers) -> str:
    """The caller's own, where it is one; so logs on both sides can be put together."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _complete(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-Id"] = request_id
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
