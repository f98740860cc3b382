"""The activity that makes one HTTP call: resolve, place, send, classify, bound the result. No retries in here."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from temporalio import activity

from activities.failures import (
    application_error,
    credential_refused,
    failed,
    interrupted,
    not_sent_again,
    refused_by_status,
    unforeseen,
    without_answer,
    without_credential,
)
from activities.heartbeat import heartbeats
from activities.judge import judge_net_error, judge_status
from activities.parking import CallFailed, Parking, make_or_park, run_goes_on, tell
from activities.request import build_request
from activities.result import call_result
from auth.credential import Credential
from auth.errors import CredentialError
from definitions.operation import Delivery
from definitions.refs import CredentialRef
from definitions.run import Call, CallResult
from net.client import GuardedClient
from net.errors import NetError, Sent
from net.messages import HttpReply, SendTrace
from net.retry_after import retry_after
from net.text import UnusableBody


class Credentials(Protocol):
    """Where an activity gets its credential: `auth.resolver.CredentialResolver`, or one account being tried."""

    async def resolve(self, ref: CredentialRef) -> Credential:
        """Raises CredentialError."""

    async def renew(self, credential: Credential) -> Credential:
        """Raises CredentialError."""


class HttpActivities:
    """Calls other people's HTTP APIs with the credential of the moment."""

    def __init__(
        self,
        credentials: Credentials,
        parking: Parking,
        http: GuardedClient,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
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
        credential, reply = await self._send_as_whoever_is_bound(call)
        about = {"account": credential.account, "token_version": credential.token_version, "attempt": attempt}
        self._judge(call, reply, credential, attempt)
        if reply.unread is not None:
            message = f"answered {reply.status} {reply.unread}"
            raise CallFailed(failed(call, "result_unusable", message, credential.account, reply.status))
        try:
            return call_result(reply, call.operation, **about)
        except UnusableBody as error:
            message = f"answered {reply.status}, so the call was completed, but its result is unusable: {error}"
            raise CallFailed(failed(call, "result_unusable", message, credential.account, reply.status)) from None

    async def _send_as_whoever_is_bound(self, call: Call) -> tuple[Credential, HttpReply]:
        """Send; where the credential is refused and another is to be had, send once more with that."""
        try:
            credential = await self._credentials.resolve(call.credential)
            reply = await self._send(call, credential)
            if _was_refused(reply, call, credential):
                renewed = await self._credentials.renew(credential)
                if renewed.version != credential.version:
                    credential = renewed
                    reply = await self._send(call, credential)
        except CredentialError as error:
            raise CallFailed(without_credential(call, error)) from None
        except asyncio.CancelledError:
            if not run_goes_on(call):
                raise
            raise CallFailed(interrupted(call, Sent.NO)) from None  # in `_send` it would have been told there
        return credential, reply

    async def _send(self, call: Call, credential: Credential) -> HttpReply:
        try:
            request = build_request(call, credential)
        except ValueError as error:
            raise CallFailed(failed(call, "invalid_request", str(error), credential.account)) from None
        trace = SendTrace()
        try:
            return await self._http.send(request, trace=trace)
        except NetError as error:
            judgement = judge_net_error(error, call.delivery)
            raise CallFailed(without_answer(call, error, judgement, credential.account)) from None
        except asyncio.CancelledError:
            if not run_goes_on(call):
                raise
            raise CallFailed(interrupted(call, trace.sent, credential.account)) from None

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


def _was_refused(reply: HttpReply, call: Call, credential: Credential) -> bool:
    """Whether the credential was: behind a 303 that says nothing of an unsafe call, which was performed."""
    return reply.status in credential.integration.unauthorized and not (reply.done and call.delivery is Delivery.UNSAFE)
