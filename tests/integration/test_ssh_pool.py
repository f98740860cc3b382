"""Connections are shared, kept for a while, replaced when they are gone, and never those of an older account."""

import asyncio
import gc
import logging
import os
import re
import weakref

import asyncssh
import pytest

from net import ssh_pool
from net.sftp import BLOCK, IN_FLIGHT
from net.sftp_errors import SftpError
from net.sftp_server import SftpServer
from net.ssh_keys import LoginKey, read_login_key
from net.ssh_pool import SshConnections
from net.ssh_shared import TRANSFERS_AT_ONCE
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.ssh_connections import ssh_connections
from tests.fixtures.sshd import Sshd
from tests.fixtures.waiting import until


async def _look(connections: SshConnections, server: SftpServer) -> None:
    async with connections.session(server) as session:
        await session.stat(".")


async def test_those_who_come_first_together_share_one_handshake(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    await asyncio.gather(*(_look(connections, faulty.server()) for _ in range(40)))

    assert faulty.connections == 1


async def test_a_connection_is_used_again(faulty: FaultySftp, connections: SshConnections) -> None:
    for _ in range(3):
        await _look(connections, faulty.server())

    assert faulty.connections == 1


async def test_an_idle_connection_is_closed_after_a_while(faulty: FaultySftp) -> None:
    async with ssh_connections(idle_seconds=0.05) as connections:
        await _look(connections, faulty.server())
        await until(lambda: faulty.live[0].is_closed())
        await _look(connections, faulty.server())

    assert faulty.connections == 2


async def test_a_connection_in_use_is_not_idle(faulty: FaultySftp) -> None:
    async with ssh_connections(idle_seconds=0.05) as connections, connections.session(faulty.server()) as session:
        await _look(connections, faulty.server())
        await asyncio.sleep(0.2)

        assert await session.stat(".") is not None

    assert faulty.connections == 1


async def test_a_connection_that_the_server_closed_is_replaced(faulty: FaultySftp, connections: SshConnections) -> None:
    async with connections.session(faulty.server()) as session:
        faulty.cut()
        with pytest.raises(SftpError) as lost:
            await session.stat(".")
    await _look(connections, faulty.server())

    assert lost.value.code == "connection_lost"
    assert faulty.connections == 2


async def test_a_new_version_of_the_account_gets_a_connection_of_its_own(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    async with connections.session(faulty.server()) as old:
        await _look(connections, faulty.server(version=2))

        assert await old.stat(".") is not None
    await until(lambda: faulty.live[0].is_closed())

    assert faulty.connections == 2
    assert not faulty.live[1].is_closed()


async def test_all_that_is_open_is_closed_in_the_end_also_what_was_opened_for_an_older_version(
    faulty: FaultySftp,
) -> None:
    async with ssh_connections() as connections, connections.session(faulty.server()) as old:
        await _look(connections, faulty.server(version=2))
        await connections.aclose()

        with pytest.raises(SftpError) as closed:
            await old.stat(".")
        await until(lambda: all(each.is_closed() for each in faulty.live))

    assert closed.value.code == "connection_lost"
    assert faulty.connections == 2


async def test_whoever_still_holds_an_old_version_is_not_given_the_new_connection_nor_keeps_his(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    await _look(connections, faulty.server(version=2))
    await _look(connections, faulty.server(version=1))
    await until(lambda: faulty.live[1].is_closed())

    assert faulty.connections == 2
    assert not faulty.live[0].is_closed()


@pytest.mark.parametrize("change", [{"username": "bob"}, {"account_id": "other"}, {"password": "another-one"}])
async def test_nobody_gets_a_connection_that_somebody_else_logged_in(
    faulty: FaultySftp, connections: SshConnections, change: dict[str, str]
) -> None:
    faulty.users["bob"] = faulty.users["ada"]
    await _look(connections, faulty.server())
    passwords = len(faulty.passwords_seen)

    await asyncio.gather(_look(connections, faulty.server(**change)), return_exceptions=True)

    assert len(faulty.passwords_seen) == passwords + 1


async def test_a_handshake_that_fails_fails_all_who_wait_for_it(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    wrong = faulty.server(password="wrong-password")

    results = await asyncio.gather(*(_look(connections, wrong) for _ in range(5)), return_exceptions=True)

    assert [getattr(each, "code", None) for each in results] == ["auth_refused"] * 5
    assert faulty.connections == 1


async def test_a_failed_handshake_is_not_remembered(faulty: FaultySftp, connections: SshConnections) -> None:
    faulty.users.clear()
    with pytest.raises(SftpError):
        await _look(connections, faulty.server())
    faulty.users["ada"] = faulty.server().password or ""

    await _look(connections, faulty.server())


async def test_who_stops_waiting_for_a_handshake_does_not_stop_the_others(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.hangs_in_login = True
    first = asyncio.create_task(_look(connections, faulty.server()))
    second = asyncio.create_task(_look(connections, faulty.server()))
    await until(lambda: len(faulty.passwords_seen) == 1)

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    faulty.released.set()
    await second

    assert faulty.connections == 1
    assert first.cancelled()


async def test_a_handshake_that_nobody_waits_for_any_more_is_given_up(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.hangs_in_login = True
    only = asyncio.create_task(_look(connections, faulty.server()))
    await until(lambda: len(faulty.passwords_seen) == 1)

    only.cancel()
    await asyncio.gather(only, return_exceptions=True)

    await until(lambda: faulty.live[0].is_closed())


async def test_an_encrypted_key_is_opened_once(
    sshd: Sshd, connections: SshConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def read(text: str, passphrase: str | None, certificate: str | None) -> LoginKey:
        opened.append(text)
        return read_login_key(text, passphrase, certificate)

    monkeypatch.setattr(ssh_pool, "read_login_key", read)

    for version in (1, 2):
        await _look(connections, sshd.server(version=version))

    assert len(opened) == 1


async def test_an_opened_private_key_is_gone_soon_after_the_last_handshake(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[weakref.ref[asyncssh.SSHKey]] = []

    def read(text: str, passphrase: str | None, certificate: str | None) -> LoginKey:
        login = read_login_key(text, passphrase, certificate)
        opened.append(weakref.ref(login.key))
        return login

    monkeypatch.setattr(ssh_pool, "read_login_key", read)
    monkeypatch.setattr(ssh_pool, "KEY_SECONDS", 0.05)

    def gone() -> bool:
        gc.collect()
        return opened[0]() is None

    async with ssh_connections(idle_seconds=0.05) as connections:
        await _look(connections, sshd.server())
        await until(gone)


async def test_so_many_transfers_share_a_connection_and_further_ones_wait(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    (faulty.folder / "a").write_bytes(b"content")
    faulty.one_by_one, faulty.stall_in = False, {"read"}
    async with connections.session(faulty.server()) as session:
        readers = [asyncio.create_task(session.read_range("/a", 0, 10)) for _ in range(TRANSFERS_AT_ONCE + 8)]
        await until(lambda: faulty.calls["read"] >= TRANSFERS_AT_ONCE)
        await session.stat("/a")
        opened = faulty.calls["open"]
        faulty.stall_in.clear()
        faulty.released.set()
        read = await asyncio.gather(*readers)

    assert opened == TRANSFERS_AT_ONCE
    assert read == [b"content"] * (TRANSFERS_AT_ONCE + 8)


async def test_closing_ends_everything_and_leaves_no_socket(faulty: FaultySftp) -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with ssh_connections() as connections:
        await asyncio.gather(*(_look(connections, faulty.server(account_id=f"{number}")) for number in range(5)))
    await until(lambda: all(each.is_closed() for each in faulty.live))
    gc.collect()

    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_failed_dials_leave_no_socket(faulty: FaultySftp, connections: SshConnections) -> None:
    before = len(os.listdir("/proc/self/fd"))
    faulty.hang_up_before_login = 1
    for change in ({"account_id": "dropped"}, {"password": "wrong"}, {"trusted": (Sshd.__name__,)}):
        await asyncio.gather(_look(connections, faulty.server(**change)), return_exceptions=True)

    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_a_server_may_send_so_much_ahead_that_a_long_line_stays_full(
    faulty: FaultySftp, connections: SshConnections, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "asyncssh")
    asyncssh.set_debug_level(2)
    try:
        await _look(connections, faulty.server())
    finally:
        asyncssh.set_debug_level(1)

    windows = [int(found[1]) for found in re.finditer(r"Initial send window (\d+)", caplog.text)]
    assert max(windows) >= 2 * IN_FLIGHT * BLOCK


async def test_a_server_that_is_doubted_is_asked_anew_by_all_who_come_together(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    async with connections.session(faulty.server()) as before:
        await asyncio.gather(*(_look(connections, faulty.server(doubted=True)) for _ in range(10)))

        assert faulty.connections == 2
        assert await before.stat(".") is not None, "who used the connection from before goes on with it"
