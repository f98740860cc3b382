"""A Twitter-like API: OAuth 2.0 client credentials (RFC 6749 §4.4), tweets to search and to post."""

from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.externalsystems.accepted import TWITTER, Tenant, tenant_with
from examples.externalsystems.answers import (
    Refused,
    authorization,
    basic_pair,
    entry_of,
    form_fields,
    json_object,
    text_field,
)
from examples.externalsystems.ledger import Ledger
from examples.externalsystems.tokens import TokenBook

LIFETIME = 7200


class Twitter:
    def __init__(self, ledger: Ledger) -> None:
        self.tokens = TokenBook("demo-token-", LIFETIME)
        self._ledger = ledger
        self._tweets: dict[str, list[dict[str, str]]] = {
            tenant.account: [{"id": "1", "text": f"Hello from {tenant.account}, connected by Tieline"}]
            for tenant in TWITTER.values()
        }

    def routes(self) -> list[Route]:
        return [
            Route("/twitter/oauth2/token", self.token, methods=["POST"]),
            Route("/twitter/2/tweets/search", self.search, methods=["GET"]),
            Route("/twitter/2/tweets", self.post, methods=["POST"]),
        ]

    async def token(self, request: Request) -> Response:
        form = await form_fields(request)
        tenant = _client(request, form)
        if form.get("grant_type") != "client_credentials":
            raise Refused(400, {"error": "unsupported_grant_type"})
        entry_of(request).account = tenant.account
        body = {
            "token_type": "bearer",
            "access_token": self.tokens.issue(tenant.account),
            "expires_in": self.tokens.lifetime,
            "scope": form.get("scope", "read"),
        }
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def search(self, request: Request) -> Response:
        account = self._account(request)
        query = request.query_params.get("query", "")
        if not query:
            raise Refused(400, {"title": "Invalid Request", "detail": "query must not be empty"})
        found = [tweet for tweet in self._tweets[account] if query.lower() in tweet["text"].lower()]
        return JSONResponse({"account": account, "data": found, "meta": {"result_count": len(found)}})

    async def post(self, request: Request) -> Response:
        account = self._account(request)
        text = text_field(await json_object(request), "text")
        tweet = {"id": str(len(self._tweets[account]) + 1), "text": text}
        self._tweets[account].append(tweet)
        self._ledger.performed(entry_of(request), text)
        return JSONResponse({"account": account, "data": tweet}, 201)

    def _account(self, request: Request) -> str:
        account = self.tokens.account_of(authorization(request, "Bearer"))
        if account is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="twitter", error="invalid_token"'}
            raise Refused(401, {"title": "Unauthorized", "detail": "Unauthorized", "status": 401}, challenge)
        entry_of(request).account = account
        return account


def _client(request: Request, form: dict[str, str]) -> Tenant:
    """Authenticate the client in one of two ways, not in both (RFC 6749 §2.3)."""
    basic = basic_pair(request)
    if basic is not None and "client_secret" in form:
        raise Refused(400, {"error": "invalid_request", "error_description": "two ways of client authentication"})
    if basic is not None:
        # RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.
        client_id, client_secret = (unquote_plus(each) for each in basic)
    else:
        client_id, client_secret = form.get("client_id", ""), form.get("client_secret", "")
    tenant = tenant_with(TWITTER, client_id=client_id, client_secret=client_secret)
    if tenant is None:
        raise Refused(401, {"error": "invalid_client"}, {"WWW-Authenticate": 'Basic realm="twitter"'})
    return tenant
