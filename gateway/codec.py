"""`/codec`: payloads in clear for Temporal's web interface and command line, shown to whoever may read runs.

Pages of the interface's origin, and of no other, may ask. A browser can present a token as the password of HTTP Basic,
because the interface has no place for one; nothing outside `/codec` takes it so.
"""

import base64
import binascii
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.common import RawValue
from temporalio.converter import DataConverter

from auth.api_tokens import Scope
from gateway.access import admitted
from gateway.door import door_of
from gateway.problems import Problem, problem_of, problem_response
from runtime.codec import UndecodablePayload
from runtime.payload_store import PayloadUnavailable

log = logging.getLogger(__name__)

PATH = "/codec"
CHALLENGE = {"WWW-Authenticate": 'Basic realm="Tieline payloads (any name; an API token as password)", charset="UTF-8"'}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "content-type, x-namespace, authorization, authorization-extras",
    "Access-Control-Max-Age": "600",
}

Turn = Callable[[DataConverter, Payload], Coroutine[Any, Any, Payload]]


def codec_routes(origins: Collection[str]) -> list[Route]:
    """The endpoint, as Temporal's interface and command line expect it."""
    return [
        Route(PATH, _entered, methods=["GET"]),
        Route(f"{PATH}/decode", _turned(_in_clear, Scope.RUNS_READ, origins), methods=["POST", "OPTIONS"]),
        Route(f"{PATH}/encode", _turned(_encrypted, Scope.RUNS_DECIDE, origins), methods=["POST", "OPTIONS"]),
    ]


def origins_of(ui: str | None) -> frozenset[str]:
    """What browsers call the pages of Temporal's interface; loopback has two names."""
    if ui is None:
        return frozenset()
    parts = urlsplit(ui)
    hosts = {
        parts.netloc,
        parts.netloc.replace("127.0.0.1", "localhost"),
        parts.netloc.replace("localhost", "127.0.0.1"),
    }
    return frozenset(f"{parts.scheme}://{host}" for host in hosts)


async def _entered(request: Request) -> Response:
    """Where a browser is asked for a token, which it then sends along by itself."""
    await _admitted(request, Scope.RUNS_READ)
    return PlainTextResponse(
        "This browser may see payloads now. In Temporal's interface, open the codec server's settings at the top, "
        f'choose "Use my browser setting and ignore Cluster-level setting", enter {request.url.scheme}://'
        f'{request.url.netloc}{PATH}, and switch on "Include cross-origin credentials".\n'
    )


def _turned(turn: Turn, scope: Scope, origins: Collection[str]) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def endpoint(request: Request) -> Response:
        origin = request.headers.get("origin")
        readable = _readable(origin) if origin in origins else {}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={**readable, **PREFLIGHT} if readable else None)
        try:
            await _admitted(request, scope)
            converter = door_of(request).client.data_converter
            payloads = [await turn(converter, payload) for payload in await _payloads(request)]
        except Problem as problem:  # answered here, or the page could not read why
            answer: Response = problem_response(problem_of(problem), request.scope["state"]["request_id"])
        else:
            answer = JSONResponse(MessageToDict(Payloads(payloads=payloads)))
        answer.headers.update(readable)
        return answer

    return endpoint


def _readable(origin: str | None) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin or "",
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin",
    }


async def _admitted(request: Request, scope: Scope) -> None:
    try:
        await admitted(request, scope, _as_password(request))
    except Problem as problem:
        if problem.status_code == 401:
            problem.headers = CHALLENGE
        raise


def _as_password(request: Request) -> str | None:
    """The token in `Authorization: Basic`, if that is what was sent."""
    values = request.headers.getlist("authorization")
    scheme, _, credentials = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _payloads(request: Request) -> Sequence[Payload]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "unsupported_media_type", "expected application/json", "set Content-Type")
    try:
        body = await request.json()
        if not isinstance(body, dict):
            raise TypeError
        return ParseDict(body, Payloads(), ignore_unknown_fields=True).payloads
    except (ParseError, ValueError, TypeError, AttributeError, RecursionError):
        detail = 'expected {"payloads": [{"metadata": {…}, "data": "…"}]} with values in base64'
        raise Problem(422, "invalid_request", detail) from None


async def _in_clear(converter: DataConverter, payload: Payload) -> Payload:
    """Also one that lies in a file beside the history; one that cannot be read stays as it is and hides no other."""
    try:
        [value] = await converter.decode([payload], [RawValue])
    except (UndecodablePayload, PayloadUnavailable) as error:
        log.warning("a payload stays encrypted: %s", error)
        return payload
    return value.payload if isinstance(value, RawValue) else payload


async def _encrypted(converter: DataConverter, payload: Payload) -> Payload:
    [turned] = await converter.encode([RawValue(payload)])
    return turned
