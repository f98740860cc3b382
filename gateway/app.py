"""The front door's application: its routes, its documentation, and what stands around all of them."""

import asyncio
import functools
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from auth.api_tokens import Scope
from gateway import accounts, assets, connecting, definitions, host_keys, profiles, runs
from gateway.access import SCHEME, admitted
from gateway.codec import PATH, codec_routes
from gateway.connect import connect_routes
from gateway.context import Context
from gateway.door import Door
from gateway.limits import Limits
from gateway.metrics import Metrics
from gateway.problems import HANDLED, MEDIA_TYPE, ProblemDocument, answer_with_problem
from runtime.health import health_routes

ROUTERS = (
    runs.router,
    assets.router,
    definitions.router,
    accounts.router,
    host_keys.router,
    connecting.router,
    profiles.router,
)

DESCRIPTION = """
Durable, authenticated calls to other people's systems.

Every request needs an API token (`Authorization: Bearer …`, made by `tieline tokens create`), unless none was ever
made: then the API serves this machine only. Every error is a problem document (RFC 9457) with `category`,
`suggested_action` and `request_id`.
"""

STATIC = Path(fastapi_offline.__file__).parent / "static"
"""Swagger UI, from a package: a page with somebody else's scripts would see tokens."""

DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
DOCS = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tieline API</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/static/swagger-ui.css"></head>
<body><div id="swagger-ui"></div><script src="/docs/static/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script></body></html>
"""
DOCS_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, tryItOutEnabled: true});'


def build(door: Door) -> ASGIApp:
    """The whole application, ready to be served."""
    app = FastAPI(title="Tieline", version=version("tieline"), openapi_url=None, docs_url=None, redoc_url=None)
    app.state.door = door
    for kind in HANDLED:
        app.add_exception_handler(kind, answer_with_problem)
    for router in ROUTERS:
        app.include_router(router)
    app.router.routes.extend(health_routes(dict(door.checks)))
    app.router.routes.extend(codec_routes(door.ui_origins))
    app.router.routes.extend(connect_routes(door.connecting.connector))
    metrics = Metrics()
    _add_metrics(app, metrics)
    _add_documentation(app)
    settings = door.stores.settings
    limits = Limits(
        app,
        settings.gateway_hosts,
        {f"{PATH}/": door.ui_origins},
        public_url=settings.gateway_url,
        uploads={assets.PATH: settings.asset_max_bytes},
    )
    return Context(limits, metrics)


def _add_metrics(app: FastAPI, metrics: Metrics) -> None:
    async def scraped(request: Request) -> Response:
        await admitted(request, Scope.RUNS_READ)
        content, media_type = metrics.exposition()
        return Response(content, media_type=media_type)

    app.add_route("/metrics", scraped, include_in_schema=False)


def _add_documentation(app: FastAPI) -> None:
    """Open to all, like the source that it is made from. Made when it is asked for: it takes longer than to start."""

    @functools.cache
    def document() -> Response:
        return JSONResponse(openapi(app))

    async def described(request: Request) -> Response:
        return await asyncio.to_thread(document)

    async def page(request: Request) -> Response:
        return HTMLResponse(DOCS, headers={"Content-Security-Policy": DOCS_POLICY})

    async def start(request: Request) -> Response:
        return Response(DOCS_START, media_type="text/javascript")

    app.add_route("/openapi.json", described, include_in_schema=False)
    app.add_route("/docs", page, include_in_schema=False)
    app.add_route("/docs/start.js", start, include_in_schema=False)
    app.router.routes.append(Mount("/docs/static", StaticFiles(directory=STATIC)))


def openapi(app: FastAPI) -> dict[str, Any]:
    """The API as OpenAPI describes it, with the one form that all its errors have."""
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION.strip(), routes=app.routes)
    schemas = document["components"]["schemas"]
    schemas["Problem"] = ProblemDocument.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    document["components"]["securitySchemes"] = {SCHEME: {"type": "http", "scheme": "bearer"}}
    problem = {"$ref": "#/components/schemas/Problem"}
    for methods in document["paths"].values():
        for operation in methods.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {
                "description": "A problem",
                "content": {MEDIA_TYPE: {"schema": problem}},
            }
    return document
