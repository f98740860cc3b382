"""A CRM behind HTTP Basic. It knows no idempotency keys: a lead that is sent twice is there twice."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.externalsystems.accepted import CRM, tenant_with
from examples.externalsystems.answers import Refused, basic_pair, entry_of, json_object, text_field
from examples.externalsystems.ledger import Ledger


class Crm:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._leads: dict[str, list[dict[str, object]]] = {tenant.account: [] for tenant in CRM.values()}

    def routes(self) -> list[Route]:
        return [
            Route("/crm/leads", self.list, methods=["GET"]),
            Route("/crm/leads", self.create, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        account = _account(request)
        return JSONResponse({"account": account, "leads": self._leads[account]})

    async def create(self, request: Request) -> Response:
        account = _account(request)
        body = await json_object(request)
        name, email = text_field(body, "name"), text_field(body, "email")
        lead: dict[str, object] = {"id": len(self._leads[account]) + 1, "name": name, "email": email}
        self._leads[account].append(lead)
        self._ledger.performed(entry_of(request), email)
        return JSONResponse({"account": account, "lead": lead}, 201, {"Location": f"/crm/leads/{lead['id']}"})


def _account(request: Request) -> str:
    username, password = basic_pair(request) or ("", "")
    tenant = tenant_with(CRM, username=username, password=password)
    if tenant is None:
        raise Refused(401, {"error": "unauthorized"}, {"WWW-Authenticate": 'Basic realm="crm", charset="UTF-8"'})
    entry_of(request).account = tenant.account
    return tenant.account
