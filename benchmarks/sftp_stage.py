"""What the figures of SFTP stand on: one OpenSSH server, an installation with accounts at it, files in memory."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from temporalio.client import Client

from benchmarks.openssh import OpenSsh, openssh
from benchmarks.stage import Stage
from definitions.asset import Asset
from definitions.loading import load_text
from definitions.refs import CredentialRef
from definitions.sftp import SftpOperation, SftpResult
from net.sftp import SftpSession
from net.ssh_pool import SshConnections
from runtime.assembly import Stores, connect, open_stores
from runtime.runs import Runs
from tests.fixtures.sshd import HOST, Sshd

MEMORY = Path("/dev/shm")
ROOM = 5 * 10**9
"""Bytes that the largest of the figures needs, with its copies."""
PROFILE = "files"
PIECE = 1024 * 1024
OPERATION: TypeAdapter[SftpOperation] = TypeAdapter(SftpOperation)


@dataclass(frozen=True, slots=True)
class Files:
    """`count` files of `size` random bytes. `folder` is below the account's root, and on this machine below `root`."""

    root: Path
    folder: str
    count: int
    size: int
    assets: Sequence[Asset]

    @property
    def names(self) -> Sequence[str]:
        return [f"{number:04}" for number in range(self.count)]

    @property
    def bytes(self) -> int:
        return self.count * self.size

    def below(self, folder: str) -> Path:
        """Where a side puts its copies; made when it is missing."""
        path = self.root / folder / self.folder
        path.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True, slots=True)
class Installation:
    """Of Tieline. `root` is the folder that its accounts see as theirs: of this machine, as the server is."""

    stores: Stores
    client: Client
    runs: Runs
    root: Path

    async def do(self, adapter: str, type_: str, **operation: Any) -> SftpResult:
        """One operation as a durable run, from the start to its result; `type_` without `sftp.`."""
        model = OPERATION.validate_python({"type": f"sftp.{type_}", **operation})
        integration = await self.stores.definitions.integration(adapter)
        ref = CredentialRef(adapter=adapter, profile=PROFILE)
        result = (await self.runs.result((await self.runs.start(model, ref, integration, trigger="bench")).id)).sftp
        assert result is not None, "the run did not fail"
        return result

    async def files(self, folder: str, count: int, size: int) -> Files:
        """Made on the server's side, and kept as assets."""
        files = Files(self.root, folder, count, size, [])
        source = files.below("source")
        for name in files.names:
            with (source / name).open("wb") as file:
                for start in range(0, size, PIECE):
                    file.write(os.urandom(min(PIECE, size - start)))
        return Files(self.root, folder, count, size, [await self._keep(source / name) for name in files.names])

    async def _keep(self, path: Path) -> Asset:
        media_type = "application/octet-stream"
        return await self.stores.assets.put(pieces(path), name=path.name, media_type=media_type, holder="user")


@dataclass(frozen=True, slots=True)
class Line:
    """Three ways to move files over one line to the server; each of them is logged in."""

    installation: Installation
    adapter: str
    session: SftpSession
    openssh: OpenSsh
    new_openssh: Callable[[], AbstractAsyncContextManager[OpenSsh]]


async def pieces(path: Path) -> AsyncIterator[bytes]:
    """Of a file of this machine."""
    with path.open("rb") as file:
        while data := file.read(PIECE):
            yield data


@contextlib.asynccontextmanager
async def open_installation(
    stage: Stage, sshd: Sshd, lines: Mapping[str, int], http: Mapping[str, int]
) -> AsyncIterator[Installation]:
    """With an adapter of each name that leads to this port. Files are in memory, databases on the disk."""
    with tempfile.TemporaryDirectory(prefix="tieline-benchmarks-", dir=_roomy(stage.folder)) as name:
        root = Path(name)
        settings = stage.stores.settings.model_copy(
            update={
                "data_dir": root / "tieline",
                "database_url": f"sqlite+aiosqlite:///{stage.folder}/files.db",
                "key_file": stage.folder / "files-keys.json",
                "task_queue": "tieline-bench-files",
                "egress_allow": [f"{HOST}:{port}" for port in (*lines.values(), *http.values())],
            }
        )
        async with open_stores(settings) as stores:
            for adapter, port in lines.items():
                await _connect_account(stores, sshd, adapter, port, root)
            for adapter, port in http.items():
                await _apply(stores, _integration(adapter, f"http://{HOST}:{port}", {"type": "none"}))
                await stores.accounts.create(adapter, adapter, {}, {})
            adapters = {adapter: adapter for adapter in (*lines, *http)}
            await _apply(stores, {"kind": "profile", "name": PROFILE, "adapters": adapters})
            client = await connect(stores, stage.temporal)
            yield Installation(stores, client, Runs(client, settings.task_queue), root)


@contextlib.asynccontextmanager
async def open_line(
    installation: Installation, sshd: Sshd, connections: SshConnections, adapter: str, port: int
) -> AsyncIterator[Line]:
    """By this port, which may be that of a longer line."""
    async with connections.session(sshd.server(port=port)) as session, openssh(sshd, port) as client:
        yield Line(installation, adapter, session, client, lambda: openssh(sshd, port))


async def _connect_account(stores: Stores, sshd: Sshd, adapter: str, port: int, root: Path) -> None:
    auth = {"type": "sftp", "host_key": "pinned"}
    await _apply(stores, _integration(adapter, f"sftp://{HOST}:{port}{root}", auth))
    secrets = {"username": sshd.username, "private_key": sshd.text("user")}
    await stores.accounts.create(adapter, adapter, {}, secrets, host_keys=[sshd.public_key()])


def _integration(key: str, base_url: str, auth: Mapping[str, str]) -> Mapping[str, Any]:
    return {"kind": "integration", "key": key, "name": key, "base_url": base_url, "auth": auth}


async def _apply(stores: Stores, document: Mapping[str, Any]) -> None:
    await stores.definitions.apply(load_text(json.dumps(document), "benchmarks.yaml"))


def _roomy(otherwise: Path) -> Path:
    """A disk in memory, where this machine has one that is large enough."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else otherwise
