"""A bank: login gives a session, the session is exchanged for a short-lived token; transfers honour idempotency keys.

Keys as in draft-ietf-httpapi-idempotency-key-header: the same key gets the first answer, with another body 422, while
the first request is at work 409.
"""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.externalsystems.accepted import BANK, tenant_with
from examples.externalsystems.answers import Refused, authorization, entry_of, json_object, text_field
from examples.externalsystems.ledger import Ledger
from examples.externalsystems.tokens import TokenBook

SESSION_LIFETIME = 30
TOKEN_LIFETIME = 60
OPENING_BALANCE = 1_000_000
"""In cents, as all amounts."""
LONGEST_PROCESSING = 5.0


@dataclass
class KeyedTransfer:
    """What a key was first used for; without a body while that is at work."""

    fingerprint: str
    body: dict[str, Any] | None = None


class Bank:
    def __init__(self, ledger: Ledger) -> None:
        self.tokens = TokenBook("demo-token-", TOKEN_LIFETIME)
        self._sessions = TokenBook("demo-session-", SESSION_LIFETIME)
        self._ledger = ledger
        self._transfers: dict[str, list[dict[str, Any]]] = {tenant.account: [] for tenant in BANK.values()}
        self._keyed: dict[tuple[str, str], KeyedTransfer] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/bank/login", self.login, methods=["POST"]),
            Route("/bank/exchange", self.exchange, methods=["POST"]),
            Route("/bank/accounts", self.accounts, methods=["GET"]),
            Route("/bank/transfers", self.transfer, methods=["POST"]),
        ]

    async def login(self, request: Request) -> Response:
        body = await json_object(request)
        tenant = tenant_with(BANK, username=text_field(body, "username"), password=text_field(body, "password"))
        if tenant is None:
            raise Refused(401, {"error": "wrong username or password"})
        entry_of(request).account = tenant.account
        return JSONResponse({"session": {"id": self._sessions.issue(tenant.account)}})

    async def exchange(self, request: Request) -> Response:
        """A session serves once."""
        account = self._sessions.use_up(text_field(await json_object(request), "session"))
        if account is None:
            raise Refused(401, {"error": "the session is unknown, expired or used"})
        entry_of(request).account = account
        return JSONResponse({"access": {"token": self.tokens.issue(account), "expires_in": self.tokens.lifetime}})

    async def accounts(self, request: Request) -> Response:
        account = self._account(request)
        balance = OPENING_BALANCE - sum(transfer["amount"] for transfer in self._transfers[account])
        return JSONResponse({"account": account, "accounts": [{"id": "checking", "balance": balance}]})

    async def transfer(self, request: Request) -> Response:
        """`{amount, reference}`; `processing_seconds` makes this one slow."""
        account = self._account(request)
        order = _order(await json_object(request))
        key = entry_of(request).idempotency_key
        if key is None:
            return JSONResponse(await self._perform(request, account, order), 201)
        known = self._keyed.get((account, key))
        if known is not None:
            return _again(known, order)
        first = self._keyed[account, key] = KeyedTransfer(_fingerprint(order))
        first.body = await self._perform(request, account, order)
        return JSONResponse(first.body, 201)

    async def _perform(self, request: Request, account: str, order: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(order["processing_seconds"])
        transfers = self._transfers[account]
        transfer = {"id": len(transfers) + 1, "amount": order["amount"], "reference": order["reference"]}
        transfers.append(transfer)
        self._ledger.performed(entry_of(request), order["reference"])
        return {"account": account, "transfer": transfer}

    def _account(self, request: Request) -> str:
        account = self.tokens.account_of(authorization(request, "Bearer"))
        if account is None:
            raise Refused(401, {"error": "invalid_token"}, {"WWW-Authenticate": 'Bearer realm="bank"'})
        entry_of(request).account = account
        return account


def _order(body: dict[str, Any]) -> dict[str, Any]:
    amount, seconds = body.get("amount"), body.get("processing_seconds", 0)
    if type(amount) is not int or amount <= 0:
        raise Refused(422, {"error": "amount must be a positive whole number of cents"})
    if type(seconds) not in (int, float) or not 0 <= seconds <= LONGEST_PROCESSING:
        raise Refused(422, {"error": f"processing_seconds must be between 0 and {LONGEST_PROCESSING}"})
    return {"amount": amount, "reference": text_field(body, "reference"), "processing_seconds": seconds}


def _again(known: KeyedTransfer, order: dict[str, Any]) -> Response:
    if known.fingerprint != _fingerprint(order):
        raise Refused(422, {"error": "the idempotency key was used for another transfer"})
    if known.body is None:
        raise Refused(409, {"error": "the first request with this idempotency key is still at work"})
    return JSONResponse(known.body, 201, {"Idempotent-Replayed": "true"})


def _fingerprint(order: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()
