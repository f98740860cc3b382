"""A GIPHY-like API: the key stands in the query."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.externalsystems.accepted import GIPHY, tenant_with
from examples.externalsystems.answers import Refused, entry_of


class Giphy:
    def routes(self) -> list[Route]:
        return [Route("/giphy/v1/gifs/search", self.search, methods=["GET"])]

    async def search(self, request: Request) -> Response:
        account = _account(request)
        query = request.query_params.get("q", "")
        gifs = [
            {
                "id": f"{account}-{number}",
                "title": f"{query} {number}",
                "url": f"https://giphy.example/{account}/{number}",
            }
            for number in (1, 2)
        ]
        return JSONResponse({"account": account, "data": gifs, "meta": {"status": 200, "msg": "OK"}})


def _account(request: Request) -> str:
    key = request.query_params.get("api_key")
    if key is None:
        raise _refused(401, "No API key found in request.")
    tenant = tenant_with(GIPHY, token=key)
    if tenant is None:
        raise _refused(403, "Invalid authentication credentials")
    entry_of(request).account = tenant.account
    return tenant.account


def _refused(status: int, message: str) -> Refused:
    return Refused(status, {"data": [], "meta": {"status": status, "msg": message}})
