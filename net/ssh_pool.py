"""SSH connections kept between operations: one per account and version, shared by all that use it at the same time.

A handshake takes as long as fifty small files; and servers count connections, not files.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from net.egress import EgressPolicy
from net.redaction import LIVE_SECRETS
from net.resolver import Resolve
from net.sftp import SftpSession
from net.sftp_errors import SftpError
from net.sftp_server import HostKey, SftpServer
from net.ssh import CONNECT_TIMEOUT, SshDialer
from net.ssh_keys import LoginKey, read_login_key
from net.ssh_shared import SharedConnection

IDLE_SECONDS = 60.0
KEY_SECONDS = 10.0
"""An opened private key is kept for the next handshakes of a burst, and no longer."""

log = logging.getLogger(__name__)

Key = tuple[str, int, str, int, str, bytes]


@dataclass(slots=True, eq=False)
class _Slot:
    """A connection, or the handshake that all who want it wait for."""

    key: Key
    opening: "asyncio.Task[SharedConnection]"
    users: int = 0
    retired: bool = False
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def connection(self) -> SharedConnection | None:
        task = self.opening
        return task.result() if task.done() and not task.cancelled() and task.exception() is None else None

    def can_be_used(self) -> bool:
        """It is being opened, or open and healthy."""
        if self.retired or (self.opening.done() and self.connection is None):
            return False
        return self.connection is None or self.connection.is_healthy()


class SshConnections:
    """All SSH connections of a process, for one event loop. `allow_insecure`: accounts may leave keys unchecked."""

    def __init__(
        self,
        policy: EgressPolicy,
        resolve: Resolve,
        *,
        allow_insecure: bool = False,
        connect_timeout: float = CONNECT_TIMEOUT,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._dialer = SshDialer(policy, resolve, allow_insecure=allow_insecure, timeout=connect_timeout)
        self._idle_seconds = idle_seconds
        self._slots: dict[Key, _Slot] = {}
        self._open_slots: set[_Slot] = set()
        """With those that are retired and still in use."""
        self._versions: dict[str, int] = {}
        self._keys: dict[bytes, tuple[LoginKey, asyncio.TimerHandle]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._pepper = secrets.token_bytes(32)

    @asynccontextmanager
    async def session(self, server: SftpServer) -> AsyncIterator[SftpSession]:
        """Operations on a server, over a connection that others may use at the same time.

        Raises:
            SftpError: with a code about the way to the server, its key, or the login.
        """
        slot, connection = await self._acquire(server)
        if server.policy == "insecure":
            log.warning("SFTP server %s: its key is not checked (account %s)", server.place, server.account_id)
        session = SftpSession(server, connection)
        try:
            yield session
        finally:
            session.end()
            self._release(slot)

    async def host_keys(self, host: str, port: int, ports: frozenset[int] = frozenset()) -> Sequence[HostKey]:
        """The keys that a server offers, before any login.

        Raises:
            SftpError: the server cannot be reached, or speaks no SSH.
        """
        return await self._dialer.host_keys(host, port, ports)

    async def aclose(self) -> None:
        """Close everything; operations under way fail."""
        for _, timer in self._keys.values():
            timer.cancel()
        self._keys.clear()
        for slot in list(self._open_slots):
            self._close(slot)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _acquire(self, server: SftpServer) -> tuple[_Slot, SharedConnection]:
        key = self._key(server)
        self._retire_older(server)
        while True:
            slot = self._slots.get(key)
            if slot is None or not slot.can_be_used() or (server.doubted and slot.opening.done()):
                slot = self._new_slot(key, server)
            connection = await self._wait(slot)
            if connection.is_healthy():
                return slot, connection
            self._release(slot)  # it broke between the handshake and now: nothing was asked of it yet

    async def _wait(self, slot: _Slot) -> SharedConnection:
        slot.users += 1
        if slot.timer is not None:
            slot.timer.cancel()
            slot.timer = None
        try:
            return await asyncio.shield(slot.opening)
        except BaseException as error:
            self._release(slot)
            if isinstance(error, SftpError):  # a traceback of one's own for each who waited
                raise SftpError(error.code, str(error), keys=error.keys) from None
            raise

    def _new_slot(self, key: Key, server: SftpServer) -> _Slot:
        old = self._slots.get(key)
        if old is not None:
            old.retired = True
            self._close_if_unused(old)
        slot = _Slot(key, asyncio.get_running_loop().create_task(self._open(server)))
        self._open_slots.add(slot)
        slot.retired = server.version < self._versions.get(server.account_id, server.version)
        if not slot.retired:
            self._slots[key] = slot
        return slot

    async def _open(self, server: SftpServer) -> SharedConnection:
        for secret in (server.password, server.passphrase):
            LIVE_SECRETS.add(secret or "")
        key = await self._login_key(server)
        connection, sftp = await self._dialer.connect(server, None if key is None else key.pair())
        return SharedConnection(connection, sftp)

    async def _login_key(self, server: SftpServer) -> LoginKey | None:
        """Parsed once for many: opening an encrypted key takes a tenth of a second of computing."""
        if not server.private_key:
            return None
        name = self._digest(server.private_key, server.passphrase, server.certificate)
        key, timer = self._keys.get(name, (None, None))
        if key is None:
            texts = server.private_key, server.passphrase, server.certificate
            key = await asyncio.to_thread(read_login_key, *texts)
            _, timer = self._keys.get(name, (None, None))
        if timer is not None:
            timer.cancel()
        forget = asyncio.get_running_loop().call_later(KEY_SECONDS, self._keys.pop, name, None)
        self._keys[name] = key, forget
        return key

    def _release(self, slot: _Slot) -> None:
        slot.users -= 1
        if slot.users == 0 and slot.can_be_used() and slot.opening.done():
            slot.timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._close, slot)
        else:
            self._close_if_unused(slot)

    def _close_if_unused(self, slot: _Slot) -> None:
        if slot.users == 0:
            self._close(slot)

    def _close(self, slot: _Slot) -> None:
        if slot not in self._open_slots:
            return
        self._open_slots.remove(slot)
        slot.retired = True
        if self._slots.get(slot.key) is slot:
            del self._slots[slot.key]
        if slot.timer is not None:
            slot.timer.cancel()
            slot.timer = None
        task = asyncio.get_running_loop().create_task(_closed(slot))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _retire_older(self, server: SftpServer) -> None:
        """What was opened for an older version of the account is finished by those who use it, and then closed."""
        if server.version <= self._versions.get(server.account_id, -1):
            return
        self._versions[server.account_id] = server.version
        for slot in [each for each in self._slots.values() if each.key[0] == server.account_id]:
            if slot.key[1] < server.version:
                slot.retired = True
                del self._slots[slot.key]
                self._close_if_unused(slot)

    def _key(self, server: SftpServer) -> Key:
        """With all that a login and the checks of the server depend on: an account may be tried before it is stored."""
        texts = (server.password, server.private_key, server.passphrase, server.certificate)
        checks = (server.policy, *server.trusted, str(sorted(server.ports)))
        digest = self._digest(*texts, *checks)
        return server.account_id, server.version, server.host, server.port, server.username, digest

    def _digest(self, *texts: str | None) -> bytes:
        digest = hashlib.blake2b(key=self._pepper, digest_size=32)
        for text in texts:
            raw = (text or "").encode("utf-8", "surrogatepass")
            digest.update(b"%d:%d:" % (text is None, len(raw)) + raw)
        return digest.digest()


async def _closed(slot: _Slot) -> None:
    slot.opening.cancel()
    try:
        connection = await slot.opening
    except (asyncio.CancelledError, SftpError):
        return
    await connection.aclose()
