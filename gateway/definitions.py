"""`/v1/definitions` and `/v1/integrations`: what is declared, published from the same documents as files."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from auth.api_tokens import Scope
from definitions.integration import Integration
from definitions.loading import json_schema, load_text
from gateway.access import GuardedRoute, needs
from gateway.accounts import ReplaceSecrets, revealed
from gateway.door import Door, door_of
from gateway.problems import Problem

router = APIRouter(prefix="/v1", tags=["definitions"], route_class=GuardedRoute)

DoorOf = Annotated[Door, Depends(door_of)]
MEDIA_TYPES = ("application/yaml", "application/json")
"""JSON is YAML; and no form of another site's page can send either."""

DOCUMENTS: dict[str, Any] = {
    **needs(Scope.MANAGE),
    "requestBody": {
        "required": True,
        "content": {
            "application/yaml": {"schema": {"type": "string"}, "example": "kind: profile\nname: dev\n"},
            "application/json": {"schema": {"type": "object"}},
        },
    },
}


class ChangeShown(BaseModel):
    """What applying one document does, or would do."""

    kind: str
    key: str
    action: str = Field(description="created, updated or unchanged")
    version: str
    diff: str = Field(description="A unified diff of the two versions as YAML")
    warnings: Sequence[str]


class Applied(BaseModel):
    """In the order of the documents."""

    dry_run: bool
    changes: Sequence[ChangeShown]


class IntegrationShown(BaseModel):
    """One line of a list."""

    key: str
    name: str
    auth: str
    base_url: str


class IntegrationList(BaseModel):
    """Sorted by key."""

    integrations: Sequence[IntegrationShown]


class Stored(BaseModel):
    """The names of the secrets that were stored."""

    integration: str
    stored: Sequence[str]


@router.post("/definitions", openapi_extra=DOCUMENTS, name="Apply definitions")
async def apply(
    request: Request,
    door: DoorOf,
    dry_run: Annotated[bool, Query(description="Say what would change, and change nothing")] = False,
) -> Applied:
    """Publish the documents of a YAML text, as `tieline apply` does with files: all of them, or none."""
    documents = load_text(await _text(request), "request")
    if not documents:
        raise Problem(422, "invalid_definition", "there is no document in the request", "send YAML documents")
    changes = await door.stores.definitions.apply(documents, dry_run=dry_run)
    return Applied(
        dry_run=dry_run,
        changes=[ChangeShown(**{name: getattr(each, name) for name in ChangeShown.model_fields}) for each in changes],
    )


@router.get("/definitions/schema", openapi_extra=needs(Scope.MANAGE), name="Read the definitions' JSON Schema")
async def schema() -> dict[str, Any]:
    """The JSON Schema of definition documents, for editors."""
    return json_schema()


@router.get("/integrations", openapi_extra=needs(Scope.MANAGE), name="List integrations")
async def list_integrations(door: DoorOf) -> IntegrationList:
    """The integrations that are published."""
    store = door.stores.definitions
    found = [await store.integration(key) for key in await store.list("integration")]
    return IntegrationList(
        integrations=[
            IntegrationShown(key=each.key, name=each.name, auth=each.auth.type, base_url=each.base_url)
            for each in found
        ]
    )


@router.get("/integrations/{key}", openapi_extra=needs(Scope.MANAGE), name="Read an integration")
async def show_integration(key: str, door: DoorOf) -> dict[str, Any]:
    """An integration as it is published; what its accounts need stands under `accounts_need`."""
    integration = await door.stores.definitions.integration(key)
    document: dict[str, Any] = integration.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**document, "kind": integration.kind, "accounts_need": _needed(integration)}


@router.put("/integrations/{key}/secrets", openapi_extra=needs(Scope.MANAGE), name="Replace an integration's secrets")
async def set_secrets(key: str, asked: ReplaceSecrets, door: DoorOf) -> Stored:
    """Store secrets for all accounts of an integration: its OAuth client. An account's own go before them."""
    await door.stores.accounts.set_integration_secrets(key, revealed(asked.secrets))
    return Stored(integration=key, stored=sorted(asked.secrets))


def _needed(integration: Integration) -> dict[str, Any]:
    fields = integration.secret_fields().items()
    return {
        "parameters": list(integration.parameters),
        "secrets": [name for name, field in fields if not field.optional],
        "optional_secrets": [name for name, field in fields if field.optional],
    }


async def _text(request: Request) -> str:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise Problem(415, "unsupported_media_type", f"expected {' or '.join(MEDIA_TYPES)}", "set Content-Type")
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError as error:
        detail = f"the body is not UTF-8 text (byte {error.start})"
        raise Problem(422, "invalid_definition", detail, "save it as UTF-8") from None
