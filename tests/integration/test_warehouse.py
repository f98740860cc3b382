"""The SFTP server of the demo lets in whom it should, and does what the story needs of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import pytest_asyncio

from examples.externalsystems.accepted import WAREHOUSE_PASSWORD, WAREHOUSE_USER
from examples.externalsystems.warehouse import Warehouse, serve_warehouse
from net.sftp_errors import SftpError
from net.sftp_server import SftpServer
from net.ssh_pool import SshConnections


@pytest_asyncio.fixture
async def warehouse(tmp_path: Path) -> AsyncIterator[Warehouse]:
    async with serve_warehouse(tmp_path / "warehouse") as server:
        yield server


def login(warehouse: Warehouse, public_key: str, **secrets: Any) -> SftpServer:
    host, _, port = warehouse.server.partition(":")
    return SftpServer(
        account_id="warehouse",
        version=1,
        host=host,
        port=int(port),
        ports=frozenset({int(port)}),
        username=WAREHOUSE_USER,
        policy="pinned",
        trusted=(public_key,),
        **secrets,
    )


async def host_key(connections: SshConnections, warehouse: Warehouse) -> str:
    host, _, port = warehouse.server.partition(":")
    [key] = await connections.host_keys(host, int(port), frozenset({int(port)}))
    assert key.fingerprint == warehouse.fingerprint
    return key.public


@pytest.mark.parametrize("by", ["password", "private_key"])
async def test_its_user_comes_in_by_password_or_key_and_takes_a_file_there(
    connections: SshConnections, warehouse: Warehouse, by: str
) -> None:
    secret = {"password": WAREHOUSE_PASSWORD, "private_key": warehouse.user_key()}[by]
    server = login(warehouse, await host_key(connections, warehouse), **{by: secret})
    half_way = warehouse.after(3)

    async with connections.session(server) as session:
        await session.write("/letter.txt", _pieces(b"hello"))

    assert (warehouse.folder / "letter.txt").read_bytes() == b"hello"
    assert half_way.is_set()
    assert not warehouse.after(1).is_set()


@pytest.mark.parametrize(
    "secrets",
    [
        {"password": "demo-warehouse"},
        {"private_key": asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()},
    ],
)
async def test_nobody_else_comes_in(connections: SshConnections, warehouse: Warehouse, secrets: dict[str, str]) -> None:
    server = login(warehouse, await host_key(connections, warehouse), **secrets)

    with pytest.raises(SftpError) as refused:
        async with connections.session(server):
            pass

    assert (refused.value.code, warehouse.logins) == ("auth_refused", 0)


async def test_after_a_change_of_its_host_key_nobody_stays_and_everybody_meets_the_new_one(
    connections: SshConnections, warehouse: Warehouse
) -> None:
    before = await host_key(connections, warehouse)
    server = login(warehouse, before, password=WAREHOUSE_PASSWORD)
    async with connections.session(server) as session:
        await session.stat("/")

    warehouse.change_host_key()
    with pytest.raises(SftpError) as refused:
        async with connections.session(server) as session:
            await session.stat("/")

    assert refused.value.code in ("connection_lost", "host_key_changed")
    assert await host_key(connections, warehouse) != before


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content
