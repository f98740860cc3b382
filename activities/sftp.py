"""The activity that does one SFTP operation: resolve, log in, do what is left to do, say how far it got."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from temporalio import activity

from activities.failures import application_error, interrupted, unforeseen, without_credential
from activities.http import Credentials
from activities.parking import CallFailed, Parking, make_or_park, run_goes_on, tell
from activities.progress import Progress, read_progress
from activities.sftp_beats import STALE, Beats, Record, record_at_temporal
from activities.sftp_copy import copy
from activities.sftp_download import download
from activities.sftp_folders import delete, exists, mkdir, move, stat
from activities.sftp_judge import BELIEVED, PATIENCE, SETBACKS, Refused, failure_of_error, sftp_failure
from activities.sftp_left import clean_up
from activities.sftp_list import list_folder
from activities.sftp_places import Places
from activities.sftp_task import CLEAN_UP_WITHIN, Connections, Outcome, Session, Task
from activities.sftp_unfinished import LOOK_WITHIN, find_unfinished
from activities.sftp_upload import upload
from activities.streams import Assets, HttpStreams, SourceFailed
from auth.credential import Credential
from auth.errors import CredentialError, NeedsReconnect
from auth.sftp_account import SftpAddress, sftp_server
from definitions.failure_policy import wait_after
from definitions.integration import SftpServerModes
from definitions.run import Failure, SftpCall, Verdict
from definitions.sftp import SftpResult, Timing
from net.errors import Sent
from net.sftp_errors import SftpError
from net.sftp_server import SftpServer
from storage.errors import AssetDamaged, AssetMissing, AssetStoreFull, AssetStoreUnavailable, AssetTooLarge

BEAT_EVERY = 1.0
"""Seconds. The worker sends every fifth or so of the heartbeats on to Temporal."""
MOST_NAMED = 50
"""Files that a message names with their hashes."""
_OF_CONTENT = SETBACKS | {"failure", "asset_store_full", "asset_store_unavailable"}
"""Reasons that a line which brings something does not take away."""
UNCHECKED = "the server's key was not checked, as the integration says host_key: insecure: anybody can be this server"

_DOES: dict[str, Callable[[Task, Any], Awaitable[Outcome]]] = {
    "sftp.upload": upload,
    "sftp.download": download,
    "sftp.list": list_folder,
    "sftp.stat": stat,
    "sftp.exists": exists,
    "sftp.mkdir": mkdir,
    "sftp.move": move,
    "sftp.delete": delete,
    "sftp.copy": copy,
}
_OF_ASSETS: dict[type[Exception], str] = {
    AssetMissing: "asset_missing",
    AssetDamaged: "asset_damaged",
    AssetTooLarge: "too_large",
    AssetStoreUnavailable: "asset_store_unavailable",
    AssetStoreFull: "asset_store_full",
}


class SftpCredentials(Credentials, Protocol):
    """Where an account comes from, and who is told what its server said: `auth.resolver.CredentialResolver`."""

    async def note_dead(self, credential: Credential, cause: str, told: NeedsReconnect) -> None: ...

    async def note_well(self, credential: Credential) -> None: ...


class SftpActivities:
    """Moves files to and from other people's SFTP servers with the credential of the moment."""

    def __init__(
        self,
        credentials: SftpCredentials,
        parking: Parking,
        connections: Connections,
        assets: Assets,
        http: HttpStreams | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        record: Record = record_at_temporal,
    ) -> None:
        self._credentials = credentials
        self._parking = parking
        self._connections = connections
        self._assets = assets
        self._http = http
        self._now = now
        self._record = record

    @activity.defn(name="tieline.sftp")
    async def operate(self, call: SftpCall) -> SftpResult:
        """Do what is left to do; a `Failure` in the error's details says what that means for the run."""
        info = activity.info()
        attempt, silence = info.attempt, info.heartbeat_timeout
        # Of the attempt before; the first one of an activity begins with what the run knows.
        told = info.heartbeat_details or ([call.progress] if call.progress else [])
        # Temporal gives up an attempt that is silent for so long: by half of it that has not happened.
        stale = STALE if silence is None else silence.total_seconds() / 2
        beats = Beats(read_progress(told), self._record, stale=stale)
        try:
            with beats.running(BEAT_EVERY):
                return await make_or_park(self._parking, call, lambda: self.make(call, attempt, beats))
        except CallFailed as error:
            failure = error.failure
        except Exception as error:
            activity.logger.exception("an error that nobody foresaw")
            failure = unforeseen(call, error)
        tell(call, failure)
        if failure.verdict is Verdict.AGAIN:
            raise application_error(failure, delay=_wait_before_next(beats.progress))
        raise application_error(failure, beats.details())

    @activity.defn(name="tieline.sftp_clean_up")
    async def clean_up(self, call: SftpCall) -> None:
        """Take away what a run leaves that ends while no attempt is at it, as well as that goes within a short time."""
        beats = Beats(read_progress([call.progress] if call.progress else []), _keep_to_oneself)
        with contextlib.suppress(CredentialError, SftpError, Refused, TimeoutError):
            credential = await self._credentials.resolve(call.credential)
            if credential.cause is not None:
                return  # a server that has refused the account is not asked again, or it may lock the user out
            server, address = sftp_server(credential)
            unfinished: dict[int, tuple[str, ...]] = {}
            async with asyncio.timeout(CLEAN_UP_WITHIN), self._connections.session(server) as session:
                with contextlib.suppress(Refused, TimeoutError):
                    async with asyncio.timeout(LOOK_WITHIN):
                        await find_unfinished(self._task(call, credential, address, session, beats, unfinished, set()))
                await clean_up(session, unfinished, beats.progress, for_good=True)

    async def make(self, call: SftpCall, attempt: int = 1, beats: Beats | None = None) -> SftpResult:
        """The same outside of an activity.

        Raises:
            CallFailed: no result; its failure says why and what to do.
        """
        try:
            credential = await self._credentials.resolve(call.credential)
            server, address = sftp_server(credential)
        except CredentialError as error:
            raise CallFailed(without_credential(call, error)) from None
        beats = beats or Beats(Progress(), _keep_to_oneself)
        unsure: set[str] = set()
        try:
            async with self._telling(call, credential, server, beats) as unfinished:
                return await self._do(call, credential, server, address, attempt, beats, unfinished, unsure)
        except CredentialError as error:
            raise CallFailed(without_credential(call, error)) from None
        except (asyncio.CancelledError, TimeoutError):
            await self._clean_up(server, {0: tuple(unsure)} if unsure else {})
            raise

    async def _do(
        self,
        call: SftpCall,
        credential: Credential,
        server: SftpServer,
        address: SftpAddress,
        attempt: int,
        beats: Beats,
        unfinished: dict[int, tuple[str, ...]],
        unsure: set[str],
    ) -> SftpResult:
        operation, started, clock = call.operation, self._now(), time.monotonic()
        async with self._connections.session(server) as session:
            connected_after = time.monotonic() - clock
            if credential.cause is not None:
                await self._credentials.note_well(credential)
            task = self._task(call, credential, address, session, beats, unfinished, unsure)
            if server.policy == "insecure":
                task.notes.add(UNCHECKED)
            limits = operation.stall_after.total_seconds(), operation.timeout.total_seconds()
            async with session.watch(*limits):
                outcome = await _DOES[operation.type](task, operation)
        seconds = time.monotonic() - clock
        return SftpResult(
            success=not outcome.failed,
            message=outcome.message,
            timing=Timing(started=started, seconds=round(seconds, 3), connected_after=round(connected_after, 3)),
            paths=outcome.paths,
            username=session.username,
            bytes=outcome.bytes,
            sha256=outcome.sha256,
            resumed_from=outcome.resumed_from,
            files=outcome.files,
            failed=outcome.failed,
            entries=outcome.entries,
            next_cursor=outcome.next_cursor,
            exists=outcome.exists,
            account=credential.account,
            attempt=attempt,
            notes=task.notes.told(),
        )

    def _task(
        self,
        call: SftpCall,
        credential: Credential,
        address: SftpAddress,
        session: Session,
        beats: Beats,
        unfinished: dict[int, tuple[str, ...]],
        unsure: set[str],
    ) -> Task:
        in_run = activity.info().workflow_id if activity.in_activity() else None
        return Task(
            call=call,
            session=session,
            places=Places(session, address.root, credential.parameters),
            modes=credential.integration.sftp or SftpServerModes(),
            beats=beats,
            assets=self._assets,
            http=self._http,
            now=self._now,
            holder=in_run or call.idempotency_key,
            leftovers=unfinished,
            unsure=unsure,
        )

    @contextlib.asynccontextmanager
    async def _telling(
        self, call: SftpCall, credential: Credential, server: SftpServer, beats: Beats
    ) -> AsyncIterator[dict[int, tuple[str, ...]]]:
        """Says what every way to fail means, and cleans up where nobody will go on. Raises CallFailed."""
        unfinished: dict[int, tuple[str, ...]] = {}
        try:
            yield unfinished
            return
        except (SftpError, Refused) as error:
            failure = failure_of_error(call, error, credential.account, _times(call, beats.progress, error))
        except SourceFailed as error:
            await self._after(error.failure, None, server, beats, unfinished)
            raise CallFailed(_with_what_is_aside(error.failure, beats), error.ref) from None
        except tuple(_OF_ASSETS) as error:
            failure = sftp_failure(call, _OF_ASSETS[type(error)], str(error), account=credential.account)
        except asyncio.CancelledError:
            if run_goes_on(call):
                raise CallFailed(interrupted(call, Sent.NO, credential.account)) from None
            if _was_cancelled_by_somebody():
                await self._clean_up(server, unfinished, beats.progress)
            raise
        await self._after(failure, credential, server, beats, unfinished)
        raise CallFailed(_with_what_is_aside(_with_done(failure, beats), beats))

    async def _after(
        self,
        failure: Failure,
        credential: Credential | None,
        server: SftpServer,
        beats: Beats,
        unfinished: dict[int, tuple[str, ...]],
    ) -> None:
        """What a failure leaves to do: an account to be marked, progress to be kept, or files to be removed.

        `credential`: of the account that the failure is about, if it is the server's own.
        """
        if failure.verdict is Verdict.RECONNECT and credential is not None:
            told = NeedsReconnect(failure.message, action=failure.suggested_action, account=credential.account)
            await self._credentials.note_dead(credential, failure.category, told)
        elif failure.verdict is Verdict.AGAIN:
            beats.progress.count(lost=failure.category not in _OF_CONTENT)
            with contextlib.suppress(Refused):
                await beats.record()
        elif beats.progress.aside or (failure.verdict is Verdict.FINAL and (unfinished or beats.progress.attested)):
            with contextlib.suppress(Refused):
                await beats.record()  # an attempt that was given up removes nothing: another one may be at it
                await self._clean_up(server, unfinished, beats.progress, for_good=failure.verdict is Verdict.FINAL)

    async def _clean_up(
        self,
        server: SftpServer,
        unfinished: dict[int, tuple[str, ...]],
        progress: Progress | None = None,
        *,
        for_good: bool = True,
    ) -> None:
        """As well as that goes within a short time: what is left is hidden, and known by its name."""
        progress = progress or Progress()
        if not unfinished and not progress.aside and not progress.attested:
            return
        with contextlib.suppress(SftpError, TimeoutError):
            async with asyncio.timeout(CLEAN_UP_WITHIN), self._connections.session(server) as session:
                await clean_up(session, unfinished, progress, for_good=for_good)


def _wait_before_next(progress: Progress) -> timedelta | None:
    """Temporal's own policy knows nothing of what attempts bring. None: none was counted, so that it decides."""
    return wait_after(progress.fruitless) if progress.counted else None


def _times(call: SftpCall, progress: Progress, error: SftpError | Refused) -> int:
    """How often that has happened to this run, with this time, where patience is limited."""
    if isinstance(error, Refused) and error.times is not None:
        return error.times
    category = error.category if isinstance(error, Refused) else error.code
    if category in BELIEVED:
        count = progress.refusals + 1
        progress.refusals = count if count < PATIENCE else 0  # who decides to try it again is as patient
    elif category in SETBACKS and call.operation.type == "sftp.upload":  # what is fetched may grow for a long while
        count = progress.setbacks + 1
        progress.setbacks = count if count < PATIENCE else 0
    else:
        return 1
    return count


def _with_done(failure: Failure, beats: Beats) -> Failure:
    """Whoever reads why one file failed wants to know of the others."""
    done, fetched = len(beats.progress.done), list(beats.progress.fetched.values())
    told = [f"{failure.message}"]
    if done:
        told.append(f"{done} other files were done")
    if fetched:  # their sources may be gone: there is no other way to them
        named = ", ".join(f"{each.path} ({each.asset.sha256})" for each in fetched[:MOST_NAMED])
        more = f" and {len(fetched) - MOST_NAMED} more" if len(fetched) > MOST_NAMED else ""
        told.append(f"{len(fetched)} were fetched, and are assets with these SHA-256: {named}{more}")
    return failure.model_copy(update={"message": "; ".join(told)})


def _with_what_is_aside(failure: Failure, beats: Beats) -> Failure:
    """Where nothing has the name of a file, whoever reads why wants to know where it is."""
    for aside in beats.progress.aside.values():
        told = f"{failure.message}; {aside.shown} was set aside as {aside.path}, and what replaces it is {aside.new}"
        failure = failure.model_copy(update={"message": told})
    return failure


def _was_cancelled_by_somebody() -> bool:
    """Whether no attempt will follow. One that was given up for its silence is followed by another."""
    if not activity.in_activity():
        return False
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


async def _keep_to_oneself(_: dict[str, Any]) -> None:
    """Outside of a run nobody goes on."""
