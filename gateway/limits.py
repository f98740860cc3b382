"""What is refused before anybody looks at it: wrong hosts, other sites' pages, bodies too large or too slow."""

import asyncio
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.connect import CONNECT_PATH
from gateway.problems import Problem, problem_response

MAX_BODY_BYTES = 8 * 1024 * 1024
BODY_SECONDS = 30.0
"""For a whole request body, however slowly it comes; of a file, for its next piece."""
UPLOAD_BYTES_A_SECOND = 16 * 1024
"""Of a file, on average: who sends less holds a connection for nothing."""
PAGES = frozenset({"/docs", "/codec"})
"""Which a link may lead to, from a ticket or a wiki."""
CLOSE = {"Connection": "close"}


class Limits:
    """ASGI middleware. `hosts` are the names that this door answers to; IP addresses and localhost it always does, and
    the host of `public_url`, whose pages are its own also where a proxy in front ends TLS.

    Pages of the origins in `readers` may use what lies under their prefix, and nothing else. `uploads` are the paths
    whose POST streams a file, each with the bytes that it takes.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        readers: Mapping[str, Collection[str]],
        *,
        public_url: str | None = None,
        uploads: Mapping[str, int] | None = None,
    ) -> None:
        self._app = app
        self._uploads = uploads or {}
        self._readers = readers
        self._public_url = public_url.lower() if public_url else None
        public_host = urlsplit(public_url).hostname if public_url else None
        self._hosts = {host.lower().rstrip(".") for host in (*hosts, public_host or "localhost", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        upload = self._uploads.get(scope["path"]) if scope["method"] == "POST" else None
        limit = MAX_BODY_BYTES if upload is None else upload
        problem = self._wrong_host(headers) or self._foreign_page(scope, headers) or _too_large(headers, limit)
        if problem is not None:
            await problem_response(problem, scope["state"]["request_id"])(scope, receive, send)
            return
        await self._app(scope, _Body(receive, limit, streamed=upload is not None).receive, send)

    def _wrong_host(self, headers: Headers) -> Problem | None:
        """A page whose name was bound anew to this address (DNS rebinding) still sends its own name."""
        hosts = headers.getlist("host")
        name = _name(hosts[0]) if len(hosts) == 1 else ""
        if name in self._hosts or _is_address(name):
            return None
        return Problem(
            421,
            "unknown_host",
            "this server does not answer for the host that the request names",
            "use its address, or name the host in TIELINE_GATEWAY_HOSTS",
            CLOSE,
        )

    def _foreign_page(self, scope: Scope, headers: Headers) -> Problem | None:
        """Browsers say when another site's page sends a request; no app does."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        own = (None, f"{scope['scheme']}://{headers.get('host', '')}".lower(), self._public_url)
        if (origin.lower() if origin else origin) in own and site in (None, "same-origin", "none"):
            return None
        if any(scope["path"].startswith(prefix) and origin in origins for prefix, origins in self._readers.items()):
            return None
        if (scope["path"] in PAGES or scope["path"].startswith(f"{CONNECT_PATH}/")) and _is_visit(scope, headers):
            return None
        return Problem(
            403, "foreign_page", "requests from other sites' pages are refused", "call the API from a server"
        )


class _Body:
    """The rest of a request's body, within size and time."""

    def __init__(self, receive: Receive, limit: int, *, streamed: bool) -> None:
        self._receive = receive
        self._limit = limit
        self._taken = 0
        self._streamed = streamed
        self._began: float | None = None
        self._whole = False

    async def receive(self) -> Message:
        """Raises Problem."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline()):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        self._taken += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._taken > self._limit:
            raise _body_too_large(self._limit)
        return message

    def _deadline(self) -> float:
        """A file may take as long as it needs, while it keeps coming."""
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        if not self._streamed:
            return self._began + BODY_SECONDS
        return min(now, self._began + self._taken / UPLOAD_BYTES_A_SECOND) + BODY_SECONDS

    def _too_slow(self) -> Problem:
        detail = f"the request's body did not arrive within {BODY_SECONDS:g} seconds"
        if self._streamed:
            detail = (
                f"the file came more slowly than {UPLOAD_BYTES_A_SECOND} bytes a second, or nothing came for "
                f"{BODY_SECONDS:g} seconds"
            )
        return Problem(408, "too_slow", detail, "send it again, faster", CLOSE)


def _too_large(headers: Headers, limit: int) -> Problem | None:
    length = headers.get("content-length", "")
    return _body_too_large(limit) if length.isdigit() and int(length) > limit else None


def _body_too_large(limit: int) -> Problem:
    return Problem(413, "too_large", f"a request's body may have {limit} bytes at most", "send less at a time", CLOSE)


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Whether a person's browser goes there, with the page in full view, instead of a page of another site asking."""
    asked_by = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return scope["method"] == "GET" and "origin" not in headers and asked_by == ("navigate", "document")


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
