"""Files on SFTP servers as bodies of HTTP requests, read while they are sent."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from activities.failures import without_credential
from activities.sftp import SftpCredentials
from activities.sftp_download import seen_of
from activities.sftp_judge import Refused, failure_of_error
from activities.sftp_places import Places
from activities.sftp_task import Connections, Session
from activities.streams import RemoteBytes, SourceFailed
from auth.credential import Credential
from auth.errors import CredentialError, NeedsReconnect
from auth.sftp_account import SftpAddress, sftp_server
from definitions.auth import SftpAuth
from definitions.refs import CredentialRef
from definitions.run import SftpCall, Verdict
from definitions.sftp import SftpDownload
from net.sftp_errors import SftpError


@dataclass(frozen=True, slots=True)
class _Asked:
    """In the terms of operations, so that it is judged like any other."""

    call: SftpCall
    attempt: int


class SftpFiles:
    """Opens files on connections that transfers share; this is `activities.streams.RemoteFiles`."""

    def __init__(self, credentials: SftpCredentials, connections: Connections) -> None:
        self._credentials = credentials
        self._connections = connections

    @contextlib.asynccontextmanager
    async def open(
        self, ref: CredentialRef, path: str, *, stall: float = 60.0, overall: float = 86400.0, attempt: int = 1
    ) -> AsyncIterator[RemoteBytes]:
        """As `RemoteFiles.open` says."""
        operation = SftpDownload(type="sftp.download", paths=(path,))
        asked = _Asked(SftpCall(credential=ref, operation=operation, idempotency_key=""), attempt)
        try:
            credential = await self._credentials.resolve(ref)
            if not isinstance(credential.integration.auth, SftpAuth):
                fault = Refused("invalid_request", f"adapter {ref.adapter!r} leads to no SFTP server")
                raise await self._failed(asked, fault, credential)
            server, address = sftp_server(credential)
        except CredentialError as error:
            raise SourceFailed(without_credential(asked.call, error), ref) from None
        async with contextlib.AsyncExitStack() as stack:
            try:
                session = await stack.enter_async_context(self._connections.session(server))
                if credential.cause is not None:
                    await self._credentials.note_well(credential)
                async with session.watch(stall, overall):
                    opened = await self._opened(asked, path, session, address, credential)
            except (SftpError, Refused) as error:
                raise await self._failed(asked, error, credential) from None
            yield opened

    async def _opened(
        self, asked: _Asked, path: str, session: Session, address: SftpAddress, credential: Credential
    ) -> RemoteBytes:
        places = Places(session, address.root, credential.parameters)
        place, found = await places.follow(await places.resolve(path))
        if found is None:
            raise Refused("not_found", f"there is no {place.shown}")
        if found.kind != "file":
            raise Refused("not_a_file", f"{place.shown} is {found.what}")

        async def read() -> AsyncGenerator[bytes]:
            last = b""
            try:
                async with contextlib.aclosing(session.read(place.path)) as chunks:
                    async for chunk in chunks:
                        if last:
                            yield last
                        last = chunk
                # Whoever receives it takes it for whole with its last piece: nothing shows that it is of two versions.
                now = await session.stat(place.path)
                if now is None or seen_of(now) != seen_of(found):
                    raise Refused("source_changed", f"{place.shown} changed while it was read")
                if last:
                    yield last
            except (SftpError, Refused) as error:
                raise await self._failed(asked, error, credential) from None

        return RemoteBytes(read, found.size)

    async def _failed(self, asked: _Asked, error: SftpError | Refused, credential: Credential) -> SourceFailed:
        """An account that its server refuses is marked, so that people are told, as for a transfer of its own."""
        failure = failure_of_error(asked.call, error, credential.account, asked.attempt)
        if failure.verdict is Verdict.RECONNECT:
            told = NeedsReconnect(failure.message, action=failure.suggested_action, account=credential.account)
            await self._credentials.note_dead(credential, failure.category, told)
        return SourceFailed(failure, asked.call.credential)
