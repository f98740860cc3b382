"""Logins: by key, certificate and password, with nothing of whoever runs the process, and with safe algorithms only."""

import asyncio
import contextlib
import logging
import os
import pwd
import time
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from net.sftp_errors import SftpError
from net.sftp_server import SftpServer
from net.ssh_pool import SshConnections
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.ssh_connections import reach, refusal, server_at, ssh_connections
from tests.fixtures.sshd import HOST, Sshd, can_chroot, sshd_server
from tests.fixtures.waiting import until


async def _reach_in_the_end(connections: SshConnections, server: SftpServer, tries: int = 10) -> str:
    """As runs do: such a server turns some away at random while it has not noticed yet that others are in."""
    for _ in range(tries - 1):
        with contextlib.suppress(SftpError):
            return await reach(connections, server)
    return await reach(connections, server)


def _at_home(folder: Path, name: str, text: str) -> None:
    (folder / ".ssh").mkdir(exist_ok=True)
    (folder / ".ssh" / name).write_text(text)


class _Anybody(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False


async def test_a_key_lets_in(sshd: Sshd, connections: SshConnections) -> None:
    assert await reach(connections, sshd.server()) == sshd.root


async def test_a_user_certificate_lets_in(sshd: Sshd, connections: SshConnections) -> None:
    server = sshd.server(private_key=sshd.text("certified"), certificate=sshd.text("certified-cert.pub"))

    assert await reach(connections, server) == sshd.root


async def test_a_key_without_its_certificate_does_not(sshd: Sshd, connections: SshConnections) -> None:
    refused = await refusal(connections, sshd.server(private_key=sshd.text("certified")))

    assert refused.code == "auth_refused"
    assert f"{sshd.place} refused the login of {sshd.username} by publickey" in str(refused)


async def test_an_encrypted_key_lets_in(sshd: Sshd, connections: SshConnections) -> None:
    key = asyncssh.import_private_key(sshd.text("user")).export_private_key("pkcs8-pem", passphrase="open sesame")

    assert await reach(connections, sshd.server(private_key=key.decode(), passphrase="open sesame")) == sshd.root


async def test_a_key_that_cannot_be_read_makes_no_connection(faulty: FaultySftp, connections: SshConnections) -> None:
    refused = await refusal(connections, faulty.server(private_key="hunter2 is my key"))

    assert refused.code == "bad_key"
    assert "hunter2" not in str(refused)
    assert faulty.connections == 0


async def test_a_password_lets_in(faulty: FaultySftp, connections: SshConnections) -> None:
    assert await reach(connections, faulty.server()) == "/"


@pytest.mark.parametrize("prompt", ["Password: ", "(ada@host) Passwort:", "Kennwort", "Enter PASSCODE"])
async def test_keyboard_interactive_is_answered_where_it_asks_for_a_password(
    faulty: FaultySftp, connections: SshConnections, prompt: str
) -> None:
    faulty.takes_password, faulty.prompts = False, [(prompt, False)]

    assert await reach(connections, faulty.server()) == "/"


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

    refused = await refusal(connections, faulty.server())

    assert refused.code == "auth_refused"
    assert faulty.passwords_seen == []


async def test_a_wrong_password_is_sent_once_however_many_ways_there_are(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.prompts = [("Password: ", False)]

    refused = await refusal(connections, faulty.server(password="wrong-password"))

    assert refused.code == "auth_refused"
    assert faulty.passwords_seen == ["wrong-password"]
    assert "wrong-password" not in str(refused)


async def test_keys_and_agents_of_whoever_runs_the_process_are_left_alone(
    sshd: Sshd, faulty: FaultySftp, connections: SshConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_home(faulty.folder, "id_ed25519", sshd.text("user"))
    monkeypatch.setenv("HOME", str(faulty.folder))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(faulty.folder / "agent"))

    refused = await refusal(connections, sshd.server(private_key=sshd.text("certified")))

    assert refused.code == "auth_refused"


async def test_the_configuration_of_whoever_runs_the_process_is_not_read(
    faulty: FaultySftp, connections: SshConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    _at_home(faulty.folder, "config", "Host *\n  Port nonsense\n")
    monkeypatch.setenv("HOME", str(faulty.folder))

    assert await reach(connections, faulty.server()) == "/"


async def test_a_process_whose_user_has_no_name_gets_in_all_the_same(
    faulty: FaultySftp, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)

    async with ssh_connections() as connections:
        assert await reach(connections, faulty.server()) == "/"


async def test_a_user_name_that_cannot_be_sent_is_refused_and_leaves_no_socket(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    before = len(os.listdir("/proc/self/fd"))

    refused = await refusal(connections, faulty.server(username="a\x07da"))

    assert refused.code == "auth_refused"
    assert "a\\x07da cannot be used" in str(refused)
    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_modern_algorithms_only_are_agreed_on(faulty: FaultySftp, connections: SshConnections) -> None:
    await reach(connections, faulty.server())
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
    server = server_at(old.get_port())

    refused = await refusal(connections, server)

    old.close()
    await old.wait_closed()
    assert refused.code == "protocol_error"
    assert "considered safe" in str(refused)


async def test_a_server_that_drops_connections_at_random_is_asked_again_after_a_pause(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.hang_up_before_login = 1
    refused = await refusal(connections, faulty.server())
    began = time.monotonic()

    assert await reach(connections, faulty.server()) == "/"

    assert refused.code == "connect_failed"
    assert 0.2 < time.monotonic() - began < 5


async def test_a_line_that_breaks_right_after_the_login_is_no_lack_of_sftp(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    faulty.hang_up_after_login = True

    assert (await refusal(connections, faulty.server())).code == "connect_failed"


async def test_a_server_without_sftp_is_told_as_that(connections: SshConnections) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    shells = await asyncssh.listen(
        HOST, 0, server_host_keys=[key], config=None, server_factory=_Anybody, process_factory=lambda process: None
    )
    server = replace(server_at(shells.get_port()), trusted=(key.export_public_key().decode(),))

    refused = await refusal(connections, server)

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
        refused = await refusal(connections, faulty.server(password=secret))

    assert secret not in caplog.text
    assert secret not in str(refused) + repr(refused) + repr(faulty.server(password=secret))
