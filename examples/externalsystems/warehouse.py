"""A partner's SFTP server: takes deliveries, keeps a log of them, and is as slow as it is told to be.

It is apart from the other systems, because its library takes a while to load.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from examples.externalsystems.accepted import WAREHOUSE_PASSWORD, WAREHOUSE_USER

HOST = "127.0.0.1"


def key_of(name: str) -> asyncssh.SSHKey:
    """A key that is the same on every machine, as are the other credentials of these systems."""
    seed = hashlib.sha256(f"demo-warehouse-{name}".encode()).digest()
    return asyncssh.import_private_key(_openssh(Ed25519PrivateKey.from_private_bytes(seed)))


class Warehouse:
    """The server under way. Its users see `folder` as `/`; `server` is host and port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = ""
        self.bytes_per_second: float | None = None
        self.logins = 0
        self.received = 0
        """Bytes of files, all in all."""
        self._marks: dict[int, asyncio.Event] = {}
        self._host_key = key_of("host")
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._busy_until = 0.0

    @property
    def fingerprint(self) -> str:
        """Of its host key, as a partner would send it."""
        return self._host_key.get_fingerprint()

    def user_key(self) -> str:
        """The private key that it lets its user in by, in OpenSSH's format."""
        return key_of("user").export_private_key().decode()

    def change_host_key(self) -> None:
        """As after a reinstallation: all connections end, and whoever comes again meets another key."""
        assert self._acceptor is not None, "it is open"
        self._host_key = key_of("new host")
        self._acceptor.update(server_host_keys=[self._host_key])
        self._end_connections()

    async def open(self, port: int) -> None:
        """Raises OSError: the port is taken."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._acceptor = await asyncssh.listen(
            HOST,
            port,
            server_factory=lambda: _Logins(self),
            server_host_keys=[self._host_key],
            sftp_factory=lambda channel: _Files(channel, self),
            allow_scp=False,
            config=None,
        )
        self.server = f"{HOST}:{self._acceptor.get_port()}"

    async def close(self) -> None:
        """End it with all of its connections."""
        assert self._acceptor is not None, "it is open"
        self._end_connections()
        self._acceptor.close()
        await self._acceptor.wait_closed()

    def began(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.add(connection)

    def ended(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.discard(connection)

    def after(self, size: int) -> asyncio.Event:
        """Is set when so many more bytes have been received."""
        return self._marks.setdefault(self.received + size, asyncio.Event())

    async def receive(self, size: int) -> None:
        """Take as long as so many bytes need on a line of this speed, which all who write share."""
        if self.bytes_per_second is not None:
            now = asyncio.get_running_loop().time()
            self._busy_until = max(now, self._busy_until) + size / self.bytes_per_second
            await asyncio.sleep(self._busy_until - now)
        self.received += size
        for mark in [mark for mark in self._marks if mark <= self.received]:
            self._marks.pop(mark).set()

    def _end_connections(self) -> None:
        for connection in list(self._connections):
            connection.abort()


@contextlib.asynccontextmanager
async def serve_warehouse(folder: Path, port: int = 0) -> AsyncIterator[Warehouse]:
    """Serve on 127.0.0.1 for the length of the block; port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    warehouse = Warehouse(folder)
    await warehouse.open(port)
    try:
        yield warehouse
    finally:
        await warehouse.close()


class _Logins(asyncssh.SSHServer):
    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._warehouse.began(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._warehouse.ended(self._connection)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (WAREHOUSE_USER, WAREHOUSE_PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == WAREHOUSE_USER and key.public_data == key_of("user").public_data

    def auth_completed(self) -> None:
        self._warehouse.logins += 1


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: asyncssh.SSHServerChannel[Any], warehouse: Warehouse) -> None:
        super().__init__(channel, chroot=str(warehouse.folder).encode())
        self._warehouse = warehouse

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """As asyncssh does, in its time."""
        await self._warehouse.receive(len(data))
        written = super().write(file_obj, offset, data)
        assert isinstance(written, int), "files of this machine are written at once"
        return written


def _openssh(key: Ed25519PrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
