"""The pages by which a person connects an account: there and back, in their own browser.

GET /connect/start/{ticket}   sets the cookie and sends the browser to the provider
GET /connect/callback         where the provider sends it back to: the redirect URI
GET /connect/done/{attempt}   a clean address without the code, for the good news
"""

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from auth.connect import CALLBACK_PATH, CONNECTED, SECONDS, START_PATH, Connector
from auth.connect_error import ConnectError, Fault

CONNECT_PATH = "/connect"
DONE_PATH = f"{CONNECT_PATH}/done/"

SECURE_COOKIE = "__Host-tieline-connect"
"""Bound to this host and to https by its name (RFC 6265bis §4.1.3.2)."""
LOOPBACK_COOKIE = "tieline-connect"

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_STATUS = {Fault.UNKNOWN_LINK: 404, Fault.PROVIDER: 502, Fault.EXCHANGE: 502, Fault.BUSY: 503}


def connect_routes(connector: Connector) -> list[Route]:
    """The routes, wherever they are served; they need no API token: what they are followed with is the proof."""

    async def start(request: Request) -> Response:
        if request.method == "HEAD":  # previews look, and must not make an earlier answer worthless
            return Response(headers=HEADERS)
        try:
            departure = await connector.start(request.path_params["ticket"], _browser_key(request))
        except ConnectError as error:
            return _refused(error)
        response = RedirectResponse(departure.url, status_code=303, headers=HEADERS)
        response.set_cookie(
            SECURE_COOKIE if departure.secure else LOOPBACK_COOKIE,
            departure.browser_key,
            max_age=int(SECONDS),
            secure=departure.secure,
            httponly=True,
            samesite="lax",
        )
        return response

    async def callback(request: Request) -> Response:
        if request.method == "HEAD":
            return Response(headers=HEADERS)
        query = request.scope["query_string"].decode("latin-1")
        try:
            made = await connector.finish(query, _browser_key(request))
        except ConnectError as error:
            return _refused(error)
        return RedirectResponse(f"{DONE_PATH}{made.attempt}", status_code=303, headers=HEADERS)

    async def done(request: Request) -> Response:
        progress = await connector.progress(request.path_params["attempt"])
        if progress is None or progress.outcome != CONNECTED:
            return _page("Nothing here", "There is nothing to see here any more.", 404)
        return _page("Connected", f"{progress.told}. You can close this window.", 200)

    return [
        Route(f"{START_PATH}{{ticket}}", start, methods=["GET"]),
        Route(CALLBACK_PATH, callback, methods=["GET"]),
        Route(f"{DONE_PATH}{{attempt}}", done, methods=["GET"]),
    ]


def _browser_key(request: Request) -> str | None:
    secure = request.cookies.get(SECURE_COOKIE)
    return secure if secure is not None else request.cookies.get(LOOPBACK_COOKIE)


def _refused(error: ConnectError) -> Response:
    return _page("Not connected", error.told, _STATUS.get(error.fault, 400))


def _page(title: str, text: str, status: int) -> HTMLResponse:
    """Plain, and with nothing in it that came from outside as markup."""
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)} · Tieline</title>'
    return HTMLResponse(f"{head}<h1>{escape(title)}</h1><p>{escape(text)}</p></html>", status, HEADERS)
