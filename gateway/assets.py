"""`/v1/assets`: files by reference, streamed in and out."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from email.message import Message
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from auth.api_tokens import Scope
from definitions.asset import Asset, FileName
from definitions.base import Model
from definitions.wording import message
from gateway.access import GuardedRoute, needs
from gateway.byte_range import Part, Unsatisfiable, part_of
from gateway.cursor import MAX_CHARACTERS, cursor_of, token_of
from gateway.door import Door, door_of
from gateway.limits import CLOSE
from gateway.problems import Problem, without_places
from runtime.asset_holders import AssetCollection, collect_assets
from storage.assets import USER, StoredAsset
from storage.errors import AssetDamaged

PATH = "/v1/assets"
router = APIRouter(prefix=PATH, tags=["assets"], route_class=GuardedRoute)

LISTING = "assets"
DEFAULT_NAME = "asset"
BINARY = {"schema": {"type": "string", "format": "binary"}}

DoorOf = Annotated[Door, Depends(door_of)]
Digest = Annotated[str, Path(description="Of the content, hexadecimal", pattern="^[0-9a-f]{64}$")]


class HolderOfAsset(BaseModel):
    """Who needs it: a run, by its id, or `user`. A run under way keeps it beyond `until`."""

    holder: str
    since: datetime
    until: datetime | None


class AssetInfo(BaseModel):
    """What is known of an asset."""

    sha256: str
    size: int
    name: str
    media_type: str
    created_at: datetime
    holders: Sequence[HolderOfAsset]


class AssetList(BaseModel):
    """The newest first."""

    assets: Sequence[AssetInfo]
    next_cursor: str | None = Field(description="Asks for the next page; null after the last")


class Listing(Model):
    """Which page."""

    limit: int = Field(default=50, ge=1, le=1000, description="Assets on a page")
    cursor: str | None = Field(default=None, max_length=MAX_CHARACTERS, description="`next_cursor` of the page before")


class Upload(Model):
    """What is said of a file that is sent."""

    name: FileName | None = Field(default=None, description="Its name; else that of Content-Disposition")
    sha256: str | None = Field(
        default=None, pattern="^[0-9a-fA-F]{64}$", description="It is refused unless its content has this digest"
    )


class Collecting(Model):
    """What becomes of what nothing needs."""

    delete: bool = Field(default=False, description="Delete it; without this it is only listed")
    take_over: bool = Field(
        default=False,
        description="Also what other installations may have put there: from now on none does, but this one",
    )
    limit: int = Field(default=1000, ge=0, le=10_000, description="How many are listed in the answer")


@router.post(
    "",
    status_code=201,
    openapi_extra={**needs(Scope.RUNS_START), "requestBody": {"required": True, "content": {"*/*": BINARY}}},
    name="Put an asset",
)
async def put(asked: Annotated[Upload, Query()], request: Request, response: Response, door: DoorOf) -> Asset:
    """The body as it is becomes an asset, whose media type is that of the request. The same content is kept once."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "unsupported_media_type", "Content-Encoding is not undone here", "send the file as it is")
    name, media_type = asked.name or _name_sent(request), request.headers.get("content-type")
    _check(name, media_type)
    try:
        async with aclosing(request.stream()) as chunks:
            asset = await door.stores.assets.put(
                chunks,
                name=name,
                media_type=media_type or "application/octet-stream",
                holder=USER,
                limit=door.stores.settings.asset_max_bytes,
                sha256=asked.sha256,
                about=_announced(request),
            )
    except ClientDisconnect:
        raise Problem(400, "cut_off", "the request's body did not arrive whole", "send it again", CLOSE) from None
    except AssetDamaged as error:
        raise Problem(422, "not_as_announced", str(error)) from None
    response.headers["Location"] = f"{PATH}/{asset.sha256}"
    return asset


@router.post("/gc", openapi_extra=needs(Scope.MANAGE), name="Collect what nothing needs any more")
async def collect(asked: Annotated[Collecting, Query()], door: DoorOf) -> AssetCollection:
    """Finds it, and deletes it only if asked to: answered when all of it is looked through."""
    found = await collect_assets(door.stores, delete=asked.delete, take_over=asked.take_over)
    folder = door.stores.settings.data_dir
    told = {
        name: without_places(text, folder)
        for name, text in (("temporal", found.temporal), ("left_because", found.left_because))
        if text is not None
    }
    return found.model_copy(update={"garbage": found.garbage[: asked.limit], **told})


@router.get("", openapi_extra=needs(Scope.RUNS_READ), name="List assets")
async def list_assets(asked: Annotated[Listing, Query()], door: DoorOf) -> AssetList:
    """One page."""
    keys, after = door.stores.keys, None
    if asked.cursor is not None:
        created_at, sha256 = json.loads(token_of(keys, LISTING, asked.cursor))
        after = created_at, sha256
    found = await door.stores.assets.list(limit=asked.limit + 1, after=after)
    page, token = found[: asked.limit], None
    if len(found) > asked.limit:
        token = json.dumps([page[-1].created_at, page[-1].sha256]).encode()
    return AssetList(assets=[_info(each) for each in page], next_cursor=cursor_of(keys, LISTING, token))


@router.get("/{sha256}", openapi_extra=needs(Scope.RUNS_READ), name="Read what is known of an asset")
async def show(sha256: Digest, door: DoorOf) -> AssetInfo:
    """Everything but the content."""
    return _info(await door.stores.assets.info(sha256))


@router.get(
    "/{sha256}/content",
    openapi_extra=needs(Scope.RUNS_READ),
    response_class=StreamingResponse,
    responses={
        200: {"content": {"*/*": BINARY}, "description": "All of it; checked before its last bytes are sent"},
        206: {"content": {"*/*": BINARY}, "description": "The one range that was asked for"},
        304: {"description": "If-None-Match names it"},
    },
    name="Read an asset's content",
)
async def content(sha256: Digest, request: Request, door: DoorOf) -> Response:
    """As a download, whole or one range of it. A connection that ends early means that the content is damaged."""
    store = door.stores.assets
    asset = (await store.info(sha256)).asset()
    headers = _headers(asset)
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": headers["ETag"]})
    part = _part(request, asset, headers["ETag"])
    if part is None:
        headers["Content-Length"] = str(asset.size)
        return await _streamed(store.read(asset), 200, headers)
    headers |= {"Content-Length": str(part.length), "Content-Range": f"bytes {part.start}-{part.end}/{asset.size}"}
    return await _streamed(store.stream_range(sha256, part.start, part.length), 206, headers)


async def _streamed(chunks: AsyncIterator[bytes], status: int, headers: Mapping[str, str]) -> Response:
    """The first piece is read before anything is answered: what is not there is told in the ordinary way."""
    first = await anext(chunks, b"")

    async def all_of_it() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return StreamingResponse(all_of_it(), status, headers)


def _headers(asset: Asset) -> dict[str, str]:
    """Never shown in a browser as a page of ours: a file to be saved, and of the type that was said."""
    return {
        "Content-Type": asset.media_type,
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(asset.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "ETag": f'"{asset.sha256}"',
    }


def _part(request: Request, asset: Asset, tag: str) -> Part | None:
    """Raises Problem when there is nothing in the range."""
    if request.headers.get("if-range", tag) != tag:
        return None
    try:
        return part_of(request.headers.get("range"), asset.size)
    except Unsatisfiable:
        told = f"the asset has {asset.size} bytes: there is nothing in the range that was asked for"
        headers = {"Content-Range": f"bytes */{asset.size}"}
        raise Problem(416, "range_not_satisfiable", told, "ask for a range within it", headers) from None


def _announced(request: Request) -> int | None:
    told = request.headers.get("content-length", "")
    return int(told) if told.isdecimal() else None


def _name_sent(request: Request) -> str:
    """The file name in `Content-Disposition` (RFC 6266), of either form."""
    message: Message[str, Any] = Message()
    message["Content-Disposition"] = request.headers.get("content-disposition", "")[:2000]
    return message.get_filename() or DEFAULT_NAME


def _check(name: str, media_type: str | None) -> None:
    """Before any byte of the body is read."""
    try:
        Asset(sha256="0" * 64, size=0, name=name, **({"media_type": media_type} if media_type else {}))
    except ValidationError as error:
        places = {"name": "name", "media_type": "Content-Type"}
        told = "; ".join(f"{places[str(fault['loc'][0])]}: {message(fault)}" for fault in error.errors())
        raise Problem(422, "invalid_request", told, "give ?name=… or another Content-Type") from None


def _info(asset: StoredAsset) -> AssetInfo:
    holders = [
        HolderOfAsset(holder=each.name, since=_utc(each.since), until=None if each.until is None else _utc(each.until))
        for each in asset.holders
    ]
    return AssetInfo(**asset.asset().model_dump(), created_at=_utc(asset.created_at), holders=holders)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
