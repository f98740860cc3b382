"""The way to a server: the egress policy, deadlines, peers that are no SSH servers, and logins."""

import asyncio
import contextlib
import logging
import os
import pwd
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import asyncssh
import pytest

from net.addresses import IPAddress
from net.egress import AllowRule, EgressPolicy
from net.resolver import SystemResolver
from net.sftp_errors import SftpError
from net.sftp_server import SftpServer
from net.ssh_pool import SshConnections
from tests.fixtures.faulty_sftp import PASSWORD, USER, FaultySftp
from tests.fixtures.ssh_connections import ssh_connections
from tests.fixtures.sshd import HOST, Sshd, can_chroot, sshd_server
from tests.fixtures.waiting import until

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _reach_in_the_end(connections: SshConnections, server: SftpServer, tries: int = 10) -> str:
    """As runs do: such a server turns some away at random while it has not noticed yet that others are in."""
    for _ in range(tries - 1):
        with contextlib.suppress(SftpError):
            return await _reach(connections, server)
    return await _reach(connections, server)


async def _reach(connections: SshConnections, server: SftpServer) -> str:
    async with connections.session(server) as session:
        return await session.realpath(".")


async def _refusal(connections: SshConnections, server: SftpServer) -> SftpError:
    with pytest.raises(SftpError) as refused:
        await _reach(connections, server)
    return refused.value


def _at_home(folder: Path, name: str, text: str) -> None:
    (folder / ".ssh").mkdir(exist_ok=True)
    (folder / ".ssh" / name).write_text(text)


@contextlib.asynccontextmanager
async def _peer(serve: Serve) -> AsyncIterator[int]:
    """The port of something that listens, and is no SSH server."""

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(quietly, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


class _Anybody(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _long_winded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"x" * 200_000)
    await writer.drain()
    await reader.read()


async def _talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"welcome\r\n" * 22_000)
    await writer.drain()
    await reader.read()


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


async def _hanging_in_key_exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-Sloth\r\n")
    await writer.drain()
    while await reader.read(65536):
        pass


def _to(port: int) -> SftpServer:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    return SftpServer(
        "account", 1, HOST, port, USER, password=PASSWORD, policy="pinned", trusted=(key,), ports=frozenset({port})
    )


@pytest.mark.parametrize("serve", [_silent, _dripping, _hanging_in_key_exchange])
async def test_a_peer_that_keeps_us_waiting_is_left_at_the_deadline(serve: Serve) -> None:
    async with _peer(serve) as port, ssh_connections(connect_timeout=0.3) as connections:
        began = time.monotonic()
        refused = await _refusal(connections, _to(port))

    assert refused.code == "connect_failed"
    assert f"{HOST}:{port} did not let us in within 0.3 s" in str(refused)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("serve", [_long_winded, _talkative, _http])
async def test_a_peer_that_speaks_no_ssh_is_left_at_once(serve: Serve, connections: SshConnections) -> None:
    async with _peer(serve) as port:
        refused = await _refusal(connections, _to(port))

    assert refused.code == "connect_failed"
    assert f"{HOST}:{port} ended the connection before the login" in str(refused)


async def test_a_port_where_nobody_listens_is_an_error_of_the_connection(connections: SshConnections) -> None:
    async with _peer(_silent) as port:
        pass

    refused = await _refusal(connections, _to(port))

    assert refused.code == "connect_failed"
    assert str(refused) == f"{HOST}:{port} cannot be reached: connection refused"


async def test_a_name_that_does_not_exist_is_told_as_that(connections: SshConnections) -> None:
    refused = await _refusal(connections, replace(_to(22), host="no-such-host.invalid"))

    assert refused.code == "dns_failed"


@pytest.mark.parametrize(
    ("rules", "own_port", "said"),
    [
        ([], True, "closed by the egress policy"),
        (["127.0.0.1"], False, "closed by the egress policy"),
        (["10.0.0.0/8"], True, "closed by the egress policy"),
    ],
)
async def test_the_egress_policy_decides_before_a_packet_is_sent(
    faulty: FaultySftp, rules: list[str], own_port: bool, said: str
) -> None:
    resolver = SystemResolver()
    connections = SshConnections(EgressPolicy([AllowRule.parse(rule) for rule in rules]), resolver)

    refused = await _refusal(connections, faulty.server(ports=frozenset({faulty.port} if own_port else ())))

    assert refused.code == "egress_denied"
    assert said in str(refused)
    assert faulty.connections == 0
    await connections.aclose()
    resolver.close()


@pytest.mark.parametrize("first", ["10.0.0.1", "127.0.0.2"])
async def test_of_several_addresses_one_is_taken_that_is_allowed_and_answers(faulty: FaultySftp, first: str) -> None:
    async def resolve(host: str) -> list[IPAddress]:
        return [ip_address(first), ip_address(HOST)]

    policy = EgressPolicy([AllowRule.parse(HOST), AllowRule.parse("127.0.0.2")])
    connections = SshConnections(policy, resolve)

    reached = await _reach(connections, faulty.server(host="sftp.example"))

    await connections.aclose()
    assert reached == "/"


async def test_a_name_that_leads_to_a_closed_address_is_refused(faulty: FaultySftp) -> None:
    async def resolve(host: str) -> list[IPAddress]:
        return [ip_address("169.254.169.254")]

    connections = SshConnections(EgressPolicy([AllowRule.parse(HOST)]), resolve)

    refused = await _refusal(connections, faulty.server(host="sftp.example"))

    await connections.aclose()
    assert refused.code == "egress_denied"
    assert "sftp.example is 169.254.169.254" in str(refused)


async def test_the_accounts_own_ports_are_open_where_the_address_is_allowed(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    assert await _reach(connections, faulty.server(ports=frozenset({faulty.port}))) == "/"


async def test_a_key_lets_in(sshd: Sshd, connections: SshConnections) -> None:
    assert await _reach(connections, sshd.server()) == sshd.root


async def test_a_user_certificate_lets_in(sshd: Sshd, connections: SshConnections) -> None:
    server = sshd.server(private_key=sshd.text("certified"), certificate=sshd.text("certified-cert.pub"))

    assert await _reach(connections, server) == sshd.root


async def test_a_key_without_its_certificate_does_not(sshd: Sshd, connections: SshConnections) -> None:
    refused = await _refusal(connections, sshd.server(private_key=sshd.text("certified")))

    assert refused.code == "auth_refused"
    assert f"{sshd.place} refused the login of {sshd.username} by publickey" in str(refused)


async def test_an_encrypted_key_lets_in(sshd: Sshd, connections: SshConnections) -> None:
    key = asyncssh.import_private_key(sshd.text("user")).export_private_key("pkcs8-pem", passphrase="open sesame")

    assert await _reach(connections, sshd.server(private_key=key.decode(), passphrase="open sesame")) == sshd.root


async def test_a_key_that_cannot_be_read_makes_no_connection(faulty: FaultySftp, connections: SshConnections) -> None:
    refused = await _refusal(connections, faulty.server(private_key="hunter2 is my key"))

    assert refused.code == "bad_key"
    assert "hunter2" not in str(refused)
    assert faulty.connections == 0


async def test_a_password_lets_in(faulty: FaultySftp, connections: SshConnections) -> None:
    assert await _reach(connections, faulty.server()) == "/"


@pytest.mark.parametrize("prompt", ["Password: ", "(ada@host) Passwort:", "Kennwort", "Enter PASSCODE"])
async def test_keyboard_interactive_is_answered_where_it_asks_for_a_password(
    faulty: FaultySftp, connections: SshConnections, prompt: str
) -> None:
    faulty.takes_password, faulty.prompts = False, [(prompt, False)]

    assert await _reach(connections, faulty.server()) == "/"


@pytest.mark.parametrize(
    "prompts",
    [
        [("Verification code: ", False)],
        [("Password: ", True)],
        [("Password: ", False), ("Token: ", False)],
    ],
)
async def test_no_password_is_given_to_a_prompt_that_asks_for_something_else(
    faulty: FaultySftp, connections: SshConnections, prompts: list[tuple[str, bool]]
) -> None:
    faulty.takes_password, faulty.prompts = False, prompts

    refused = await _refusal(connections, faulty.server())

    assert refused.code == "auth_refused"
    assert faulty.passwords_seen == []


async def test_a_wrong_password_is_sent_once_however_many_ways_there_are(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.prompts = [("Password: ", False)]

    refused = await _refusal(connections, faulty.server(password="wrong-password"))

    assert refused.code == "auth_refused"
    assert faulty.passwords_seen == ["wrong-password"]
    assert "wrong-password" not in str(refused)


async def test_keys_and_agents_of_whoever_runs_the_process_are_left_alone(
    sshd: Sshd, faulty: FaultySftp, connections: SshConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_home(faulty.folder, "id_ed25519", sshd.text("user"))
    monkeypatch.setenv("HOME", str(faulty.folder))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(faulty.folder / "agent"))

    refused = await _refusal(connections, sshd.server(private_key=sshd.text("certified")))

    assert refused.code == "auth_refused"


async def test_the_configuration_of_whoever_runs_the_process_is_not_read(
    faulty: FaultySftp, connections: SshConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_home(faulty.folder, "config", "Host *\n  Port nonsense\n")
    monkeypatch.setenv("HOME", str(faulty.folder))

    assert await _reach(connections, faulty.server()) == "/"


async def test_a_process_whose_user_has_no_name_gets_in_all_the_same(
    faulty: FaultySftp, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)

    async with ssh_connections() as connections:
        assert await _reach(connections, faulty.server()) == "/"


async def test_a_user_name_that_cannot_be_sent_is_refused_and_leaves_no_socket(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    before = len(os.listdir("/proc/self/fd"))

    refused = await _refusal(connections, faulty.server(username="a\x07da"))

    assert refused.code == "auth_refused"
    assert "a\\x07da cannot be used" in str(refused)
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_modern_algorithms_only_are_agreed_on(faulty: FaultySftp, connections: SshConnections) -> None:
    await _reach(connections, faulty.server())
    connection = faulty.live[-1]

    assert connection.get_extra_info("send_cipher") == "aes256-gcm@openssh.com"
    assert connection.get_extra_info("send_compression") == "none"
    assert connection.get_extra_info("client_version") == "SSH-2.0-Tieline"


@pytest.mark.parametrize(
    "options",
    [
        {"kex_algs": ["diffie-hellman-group1-sha1"]},
        {"kex_algs": ["diffie-hellman-group14-sha1"]},
        {"encryption_algs": ["chacha20-poly1305@openssh.com"]},
        {"encryption_algs": ["aes256-cbc"]},
        {"encryption_algs": ["aes256-ctr"], "mac_algs": ["hmac-sha1"]},
    ],
)
async def test_a_server_with_broken_algorithms_only_is_not_let_in(
    connections: SshConnections, options: dict[str, list[str]]
) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    old = await asyncssh.listen(HOST, 0, server_host_keys=[key], config=None, **options)
    server = _to(old.get_port())

    refused = await _refusal(connections, server)

    old.close()
    await old.wait_closed()
    assert refused.code == "protocol_error"
    assert "considered safe" in str(refused)


async def test_a_server_that_drops_connections_at_random_is_asked_again_after_a_pause(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.hang_up_before_login = 1
    refused = await _refusal(connections, faulty.server())
    began = time.monotonic()

    assert await _reach(connections, faulty.server()) == "/"

    assert refused.code == "connect_failed"
    assert 0.2 < time.monotonic() - began < 5


async def test_a_line_that_breaks_right_after_the_login_is_no_lack_of_sftp(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.hang_up_after_login = True

    assert (await _refusal(connections, faulty.server())).code == "connect_failed"


async def test_a_server_without_sftp_is_told_as_that(connections: SshConnections) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    shells = await asyncssh.listen(
        HOST, 0, server_host_keys=[key], config=None, server_factory=_Anybody, process_factory=lambda process: None
    )
    server = replace(_to(shells.get_port()), trusted=(key.export_public_key().decode(),))

    refused = await _refusal(connections, server)

    shells.close()
    await shells.wait_closed()
    assert refused.code == "unsupported"
    assert "let ada in, but offers no SFTP" in str(refused)


async def test_several_accounts_get_into_a_server_that_takes_two_at_a_time(connections: SshConnections) -> None:
    with sshd_server(max_startups="2:50:4") as strict:
        accounts = [strict.server(account_id=f"account-{number}") for number in range(8)]

        reached = await asyncio.gather(*(_reach_in_the_end(connections, account) for account in accounts))

    assert reached == [strict.root] * 8


async def test_a_locked_in_user_sees_the_folder_as_the_root(connections: SshConnections) -> None:
    with sshd_server(chroot=can_chroot()) as locked:
        (locked.home / "inbox").mkdir()
        async with connections.session(locked.server()) as session:
            assert await session.realpath(".") == locked.root
            assert await session.stat(os.path.join(locked.root, "inbox")) is not None


async def test_no_secret_stands_in_any_log_or_error(
    faulty: FaultySftp, connections: SshConnections, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "canary-3f9d-password"
    with caplog.at_level(logging.INFO):
        refused = await _refusal(connections, faulty.server(password=secret))

    assert secret not in caplog.text
    assert secret not in str(refused) + repr(refused) + repr(faulty.server(password=secret))
