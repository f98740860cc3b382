"""Which server an account stands for, and what it trusts."""

from typing import Any

import asyncssh
import pytest

from auth.credential import Credential
from auth.errors import Misconfigured
from auth.secret import Secret
from auth.sftp_account import SftpAddress, sftp_address, sftp_server
from definitions.integration import Integration

KEY, OTHER = (
    " ".join(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[:2]) for _ in range(2)
)


def integration(base_url: str, policy: str = "pinned", **more: Any) -> Integration:
    auth = {"type": "sftp", "host_key": policy}
    return Integration.model_validate(
        {"kind": "integration", "key": "files", "name": "Files", "base_url": base_url, "auth": auth, **more}
    )


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("sftp://files.example", SftpAddress("files.example", 22, "", frozenset())),
        ("sftp://files.example/", SftpAddress("files.example", 22, "/", frozenset())),
        ("sftp://files.example:2222/in%20box/", SftpAddress("files.example", 2222, "/in box", frozenset({2222}))),
        ("sftp://{host}:{port}/{root}", SftpAddress("files.example", 2200, "/data", frozenset())),
        ("sftp://[::1]:2222", SftpAddress("::1", 2222, "", frozenset({2222}))),
    ],
)
def test_host_port_and_root_come_from_the_base_url_and_the_account(base_url: str, expected: SftpAddress) -> None:
    values = {"host": "files.example", "port": "2200", "root": "data"}
    assert sftp_address(integration(base_url), values) == expected


@pytest.mark.parametrize(
    ("base_url", "fault"),
    [
        ("sftp://{host}/{root}", "base_url"),
        ("sftp://files.example:{port}", "port is not a number"),
        ("sftp://ann@files.example", "without a user name"),
        ("https://files.example", "expected sftp://"),
    ],
)
def test_what_names_no_server_is_told_without_a_value(base_url: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as refused:
        sftp_address(integration(base_url), {"host": "files.example", "root": "..", "port": "no-port"})
    assert "no-port" not in str(refused.value)


def credential(policy: str, *lines: str, base_url: str = "sftp://files.example:2222") -> Credential:
    secrets = {"username": Secret("ann"), "password": Secret("correct horse")}
    return Credential("id", "files", integration(base_url, policy), values=secrets, host_keys=lines)


@pytest.mark.parametrize(
    ("policy", "lines", "expected"),
    [
        ("pinned", (KEY, OTHER), (KEY, OTHER)),
        ("known_hosts", (KEY,), (f"[files.example]:2222 {KEY}",)),
        ("known_hosts", (f"files.example {KEY}",), (f"files.example {KEY}",)),
        ("confirm_first", (f"[files.example]:2222 {KEY}", f"other.example {OTHER}"), (KEY,)),
        ("pinned", (f"@cert-authority *.example {KEY}",), ()),
        ("pinned", (f"[Files.Example.]:2222 {KEY}",), (KEY,)),
    ],
    ids=["as they are", "for this server", "lines", "this server's alone", "no authority", "in other case"],
)
def test_what_was_confirmed_under_another_policy_is_read_in_this_one_s_form(
    policy: str, lines: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    server, _ = sftp_server(credential(policy, *lines))
    assert server.trusted == expected


def test_an_account_that_names_no_server_is_misconfigured() -> None:
    with pytest.raises(Misconfigured, match=r"account 'files', integration 'files': base_url"):
        sftp_server(credential("pinned", KEY, base_url="sftp://files.example:{port}"))
