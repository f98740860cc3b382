"""What an observer in another process reads: the ledger and the effects; and one lever, to revoke all tokens."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.externalsystems.ledger import Ledger
from examples.externalsystems.tokens import TokenBook


class Control:
    def __init__(self, ledger: Ledger, tokens: dict[str, TokenBook]) -> None:
        self._ledger = ledger
        self._tokens = tokens

    def routes(self) -> list[Route]:
        return [
            Route("/_ledger", self.ledger, methods=["GET"]),
            Route("/_effects/{name:path}", self.effects, methods=["GET"]),
            Route("/_revoke/{system}", self.revoke, methods=["POST"]),
        ]

    async def ledger(self, request: Request) -> Response:
        entries = self._ledger.requests(request.query_params.get("path"), account=request.query_params.get("account"))
        return JSONResponse({"requests": [entry.as_json() for entry in entries]})

    async def effects(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse({"name": name, "effects": self._ledger.effects(name)})

    async def revoke(self, request: Request) -> Response:
        """Every token that `twitter` or `bank` issued so far is refused from now on."""
        book = self._tokens.get(request.path_params["system"])
        if book is None:
            return JSONResponse({"error": f"one of {', '.join(self._tokens)}"}, 404)
        book.revoke_all()
        return Response(status_code=204)
