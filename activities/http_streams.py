"""Answers of HTTP APIs as sources of uploads: streamed on without being kept, and gone on with where that is safe."""

import contextlib
import dataclasses
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from activities.failures import credential_refused, failed, refused_by_status, without_answer, without_credential
from activities.http import Credentials
from activities.judge import judge_net_error, judge_status
from activities.keeping import type_of
from activities.request import build_request
from activities.streams import HttpBytes, SourceFailed
from auth.credential import Credential
from auth.errors import CredentialError
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Call
from definitions.sftp import HARD_MAX_FILE_BYTES, HttpSource
from net.client import GuardedClient
from net.errors import NetError, Sent
from net.messages import OutboundRequest
from net.redaction import LIVE_SECRETS
from net.retry_after import retry_after
from net.streamed import StreamedReply

_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)")

_ETAG = re.compile(r'"[\x21\x23-\x7e]{0,200}"')
"""A strong one, that can be sent back."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    call: Call
    start: int
    validator: str | None
    stall: float
    overall: float


class HttpSourceStreams:
    """GETs with the credential of the moment; this is `activities.streams.HttpStreams`."""

    def __init__(
        self,
        credentials: Credentials,
        http: GuardedClient,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._credentials = credentials
        self._http = http
        self._now = now

    @contextlib.asynccontextmanager
    async def open(
        self,
        ref: CredentialRef,
        source: HttpSource,
        start: int = 0,
        validator: str | None = None,
        *,
        stall: float = 60.0,
        overall: float = 86400.0,
    ) -> AsyncIterator[HttpBytes]:
        """As `HttpStreams.open` says."""
        asked = _Asked(_call(ref, source), start if validator else 0, validator, stall, overall)
        async with contextlib.AsyncExitStack() as stack:
            credential, answer = await self._answer(asked, stack)
            if asked.start and _is_no_rest(answer, asked):
                await stack.aclose()
                asked = dataclasses.replace(asked, start=0)
                credential, answer = await self._answer(asked, stack)
            yield await self._bytes(answer, asked, credential)

    async def _answer(self, asked: _Asked, stack: contextlib.AsyncExitStack) -> tuple[Credential, StreamedReply]:
        """The head of the answer, which `stack` closes; where the credential is refused and another is to be had, of
        the answer to that."""
        try:
            credential = await self._credentials.resolve(asked.call.credential)
            answer = await self._get(asked, credential, stack)
            if answer.status in credential.integration.unauthorized:
                renewed = await self._credentials.renew(credential)
                if renewed.version != credential.version:
                    await stack.aclose()
                    credential, answer = renewed, await self._get(asked, renewed, stack)
        except CredentialError as error:
            raise SourceFailed(without_credential(asked.call, error), asked.call.credential) from None
        return credential, answer

    async def _get(self, asked: _Asked, credential: Credential, stack: contextlib.AsyncExitStack) -> StreamedReply:
        try:
            return await stack.enter_async_context(self._http.stream(_request(asked, credential)))
        except NetError as error:
            raise _broken(asked.call, error, credential) from None
        except ValueError as error:
            raise SourceFailed(failed(asked.call, "invalid_request", str(error), credential.account)) from None

    async def _bytes(self, answer: StreamedReply, asked: _Asked, credential: Credential) -> HttpBytes:
        media_type = type_of(answer)
        if answer.status == 416 and asked.start:  # what there was before is all of it
            return HttpBytes(_nothing(), asked.start, asked.start, asked.validator, media_type)
        if answer.status not in (200, 206):
            raise await self._refused(answer, asked.call, credential)
        start, size = (0, answer.size) if answer.status == 200 else _range(answer)
        if start is None or (answer.status == 206 and start != asked.start):
            message = "answered 206 with another part than was asked for"
            error = NetError("protocol_error", message, sent=Sent.ANSWERED, status=206)
            raise _broken(asked.call, error, credential)
        chunks = _parts(answer, asked.call, credential)
        return HttpBytes(chunks, start, size, _validator(answer), media_type, lambda: answer.delimited)

    async def _refused(self, answer: StreamedReply, call: Call, credential: Credential) -> SourceFailed:
        try:
            reply = await answer.whole()
        except NetError as error:
            return _broken(call, error, credential)
        if reply.status in credential.integration.unauthorized:
            return SourceFailed(credential_refused(call, credential, reply.status))
        limit = call.operation.give_up_after.total_seconds()
        wait = retry_after(reply.headers, now=self._now(), limit=limit) if reply.status >= 400 else None
        judgement = judge_status(
            reply.status, operation=call.operation, delivery=call.delivery, attempt=1, told_to_wait=wait is not None
        )
        return SourceFailed(refused_by_status(call, reply, judgement, wait, credential.account))


def _call(ref: CredentialRef, source: HttpSource) -> Call:
    """The source in the terms of operations, so that it is asked for and judged like any other GET."""
    return Call(
        operation=HttpOperation(path=source.path, query=source.query, headers=source.headers, success=("200", "206")),
        credential=ref.model_copy(update={"adapter": source.adapter}),
        delivery=Delivery.SAFE,
        idempotency_key="",
    )


def _request(asked: _Asked, credential: Credential) -> OutboundRequest:
    """Raises ValueError."""
    request = build_request(asked.call, credential)
    headers = request.headers
    if asked.start and asked.validator:
        headers = (*headers, ("Range", f"bytes={asked.start}-"), ("If-Range", asked.validator))
    return dataclasses.replace(
        request,
        headers=headers,
        plain=True,
        stall=asked.stall,
        overall=asked.overall,
        max_streamed=HARD_MAX_FILE_BYTES,
    )


def _is_no_rest(answer: StreamedReply, asked: _Asked) -> bool:
    """Whether this is no rest of what was begun, though it is no whole either: then all of it is asked for."""
    if answer.status == 416:
        return _range(answer)[1] != asked.start
    return answer.status == 206 and _validator(answer) not in (None, asked.validator)


def _range(answer: StreamedReply) -> tuple[int | None, int | None]:
    """First byte and size of the whole, as Content-Range tells them (RFC 9110 §14.4)."""
    found = _RANGE.fullmatch((answer.header("content-range") or "").strip())
    if found is None:
        return None, None
    return int(found[1]) if found[1] else None, None if found[2] == "*" else int(found[2])


def _validator(answer: StreamedReply) -> str | None:
    """What changes with every change: a strong ETag, or a time that was long enough ago (RFC 9110 §8.8.2.2)."""
    etag = answer.header("etag")
    if etag is not None:
        return etag if _ETAG.fullmatch(etag) and LIVE_SECRETS.scrub(etag) == etag else None
    modified, date = answer.header("last-modified"), answer.header("date")
    try:
        ago = parsedate_to_datetime(date or "") - parsedate_to_datetime(modified or "")
    except (TypeError, ValueError):
        return None
    return modified if ago >= timedelta(seconds=60) else None


def _broken(call: Call, error: NetError, credential: Credential) -> SourceFailed:
    """What came does not fit, or did not come."""
    judgement = judge_net_error(error, call.delivery)
    return SourceFailed(without_answer(call, error, judgement, credential.account))


async def _parts(answer: StreamedReply, call: Call, credential: Credential) -> AsyncGenerator[bytes]:
    try:
        async for part in answer.body:
            yield part
    except NetError as error:
        raise _broken(call, error, credential) from None


async def _nothing() -> AsyncGenerator[bytes]:
    for part in tuple[bytes, ...]():
        yield part
