"""The activity that makes one HTTP call: resolve, place, send, classify, bound the result. No retries in here."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from temporalio import activity

from activities.failures import (
    application_error,
    credential_refused,
    failed,
    interrupted,
    not_kept,
    not_sent_again,
    of_assets,
    refused_by_status,
    unforeseen,
    without_answer,
    without_content,
    without_credential,
)
from activities.heartbeat import heartbeats
from activities.judge import judge_net_error, judge_status
from activities.keeping import keep_answer
from activities.parking import CallFailed, Parking, make_or_park, run_goes_on, tell
from activities.request import build_request
from activities.result import asset_result, call_result
from activities.sources import Sources
from activities.streams import Assets, RemoteFiles, SourceFailed
from auth.credential import Credential
from auth.errors import CredentialError
from definitions.asset import Asset
from definitions.operation import Delivery, SftpBody, status_matches
from definitions.refs import CredentialRef
from definitions.run import Call, CallResult
from net.client import GuardedClient
from net.errors import NetError, Sent
from net.messages import HttpReply, SendTrace
from net.retry_after import retry_after
from net.streamed import StreamedReply
from net.text import UnusableBody
from storage.errors import StorageError

WITHOUT_BODY = frozenset({204, 205, 304})
USER = "user"
"""Who holds the assets of calls that are part of no run."""


class Credentials(Protocol):
    """Where an activity gets its credential: `auth.resolver.CredentialResolver`, or one account being tried."""

    async def resolve(self, ref: CredentialRef) -> Credential:
        """Raises CredentialError."""

    async def renew(self, credential: Credential) -> Credential:
        """Raises CredentialError."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer whose body became an asset."""

    answer: StreamedReply
    asset: Asset


class HttpActivities:
    """Calls other people's HTTP APIs with the credential of the moment."""

    def __init__(
        self,
        credentials: Credentials,
        parking: Parking,
        http: GuardedClient,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        assets: Assets | None = None,
        files: RemoteFiles | None = None,
    ) -> None:
        """Without `assets` every answer is a value. `files`: on SFTP servers, as bodies."""
        self._assets = assets
        self._files = files
        self._sources = Sources(assets)
        self._credentials = credentials
        self._parking = parking
        self._http = http
        self._now = now

    @activity.defn(name="tieline.http_call")
    async def call(self, call: Call) -> CallResult:
        """Make the call once; a `Failure` in the error's details says what that means for the run."""
        attempt = activity.info().attempt
        try:
            if call.delivery is Delivery.UNSAFE and (attempt > 1 or call.after_reset):
                raise CallFailed(not_sent_again(call))
            with heartbeats():
                return await make_or_park(self._parking, call, lambda: self.make(call, attempt))
        except CallFailed as error:
            failure = error.failure
        except Exception as error:
            activity.logger.exception("an error that nobody foresaw")
            failure = unforeseen(call, error)
        tell(call, failure)
        raise application_error(failure)

    async def make(self, call: Call, attempt: int = 1) -> CallResult:
        """The same outside of an activity.

        Raises:
            CallFailed: no result; its failure says why and what to do.
        """
        credential, reply = await self._send_as_whoever_is_bound(call, attempt)
        about = {"account": credential.account, "token_version": credential.token_version, "attempt": attempt}
        if isinstance(reply, Kept):
            return asset_result(reply.answer, reply.asset, **about)
        self._judge(call, reply, credential, attempt)
        if reply.unread is not None:
            message = f"answered {reply.status} {reply.unread}"
            raise CallFailed(failed(call, "result_unusable", message, credential.account, reply.status))
        try:
            return call_result(reply, call.operation, **about)
        except UnusableBody as error:
            message = f"answered {reply.status}, so the call was completed, but its result is unusable: {error}"
            raise CallFailed(failed(call, "result_unusable", message, credential.account, reply.status)) from None

    async def _send_as_whoever_is_bound(self, call: Call, attempt: int) -> tuple[Credential, HttpReply | Kept]:
        """Send; where the credential is refused and another is to be had, send once more with that."""
        try:
            credential = await self._credentials.resolve(call.credential)
            reply = await self._send(call, credential, attempt)
            if isinstance(reply, HttpReply) and _was_refused(reply, call, credential):
                renewed = await self._credentials.renew(credential)
                if renewed.version != credential.version:
                    credential = renewed
                    reply = await self._send(call, credential, attempt)
        except CredentialError as error:
            raise CallFailed(without_credential(call, error)) from None
        except asyncio.CancelledError:
            if not run_goes_on(call):
                raise
            raise CallFailed(interrupted(call, Sent.NO)) from None  # in `_send` it would have been told there
        return credential, reply

    async def _send(self, call: Call, credential: Credential, attempt: int) -> HttpReply | Kept:
        body = call.operation.body
        if isinstance(body, SftpBody) and self._files is not None:
            ref = call.credential.model_copy(update={"adapter": body.adapter})
            stall = call.operation.stall_after.total_seconds()
            overall = call.operation.transfer_timeout.total_seconds()
            try:
                async with self._files.open(ref, body.path, stall=stall, overall=overall, attempt=attempt) as opened:
                    return await self._send_from(Sources(self._assets, opened), call, credential)
            except SourceFailed as error:
                unsent = NetError("content_failed", "the body could not be opened", reason=error)
                raise CallFailed(without_content(call, unsent, credential.account), error.ref) from None
        return await self._send_from(self._sources, call, credential)

    async def _send_from(self, sources: Sources, call: Call, credential: Credential) -> HttpReply | Kept:
        try:
            request = build_request(call, credential, sources)
        except ValueError as error:
            raise CallFailed(failed(call, "invalid_request", str(error), credential.account)) from None
        trace = SendTrace()
        try:
            if call.operation.assets:
                await self._hold(call, credential)
            if self._assets is None or not call.operation.may_become_asset:
                return await self._http.send(request, trace=trace)
            async with self._http.stream(request, trace=trace) as answer:
                return await self._read(answer, self._assets, call, credential)
        except NetError as error:
            if error.code == "content_failed":
                dead = error.reason.ref if isinstance(error.reason, SourceFailed) else None
                raise CallFailed(without_content(call, error, credential.account), dead) from None
            judgement = judge_net_error(error, call.delivery)
            raise CallFailed(without_answer(call, error, judgement, credential.account)) from None
        except asyncio.CancelledError:
            if not run_goes_on(call):
                raise
            raise CallFailed(interrupted(call, trace.sent, credential.account)) from None

    async def _hold(self, call: Call, credential: Credential) -> None:
        """An asset that is to be sent stays for as long as its run; one that is gone costs no request."""
        assert self._assets is not None, "a body of assets was opened"
        try:
            for asset in call.operation.assets:
                await self._assets.hold(asset.sha256, _holder())
        except StorageError as error:
            raise CallFailed(of_assets(call, error, credential.account)) from None

    async def _read(
        self, answer: StreamedReply, assets: Assets, call: Call, credential: Credential
    ) -> HttpReply | Kept:
        """Only what was asked for becomes an asset: never the answer of a call that did not succeed."""
        operation = call.operation
        succeeded = status_matches(answer.status, operation.success) and not _was_refused(answer, call, credential)
        if not succeeded or operation.method == "HEAD" or answer.status in WITHOUT_BODY:
            return await answer.whole()
        if operation.answer == "auto" and (reply := await answer.whole_if_small()) is not None:
            return reply
        try:
            return Kept(answer, await keep_answer(assets, answer, call, key=_draft_key(), holder=_holder()))
        except StorageError as error:
            raise CallFailed(not_kept(call, error, credential.account, answer.status)) from None

    def _judge(self, call: Call, reply: HttpReply, credential: Credential, attempt: int) -> None:
        wait = None
        if reply.status >= 400:
            limit = call.operation.give_up_after.total_seconds()
            wait = retry_after(reply.headers, now=self._now(), limit=limit)
        judgement = judge_status(
            reply.status,
            operation=call.operation,
            delivery=call.delivery,
            attempt=attempt,
            told_to_wait=wait is not None,
            performed=reply.done,
        )
        if judgement.verdict is None:
            return
        if _was_refused(reply, call, credential):
            raise CallFailed(credential_refused(call, credential, reply.status))
        raise CallFailed(refused_by_status(call, reply, judgement, wait, credential.account))


def _was_refused(reply: HttpReply | StreamedReply, call: Call, credential: Credential) -> bool:
    """Whether the credential was: behind a 303 that says nothing of an unsafe call, which was performed."""
    return reply.status in credential.integration.unauthorized and not (reply.done and call.delivery is Delivery.UNSAFE)


def _holder() -> str:
    """Whose assets they are: the run's, or of whoever makes a call outside of one."""
    return (activity.in_activity() and activity.info().workflow_id) or USER


def _draft_key() -> str | None:
    """The same for every attempt of one activity: a draft that a killed one left is found again."""
    if not activity.in_activity():
        return None
    info = activity.info()
    return f"{info.workflow_run_id}/{info.activity_id}"
