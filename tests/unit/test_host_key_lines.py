"""Host keys as people hand them in."""

import asyncssh
import pytest

from auth.host_key_lines import HostKeyError, checked_lines, fingerprint, is_about, public_key
from definitions.auth.simple import HostKeyPolicy

KEY = " ".join(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[:2])


@pytest.mark.parametrize(
    ("policy", "line", "fault"),
    [
        ("pinned", "ssh-ed25519 AAAA", "not an OpenSSH public key"),
        ("pinned", "-----BEGIN OPENSSH PRIVATE KEY-----", "not an OpenSSH public key"),
        ("pinned", "# nothing", "no host key"),
        ("known_hosts", "files.example", "not HOST TYPE KEY"),
        ("known_hosts", "@trusted files.example ssh-ed25519 AAAA", "unknown marker"),
        ("known_hosts", "files.example ssh-ed25519 AAAA", "no public key"),
        ("known_hosts", "files.example\n{key}", "line 1"),
    ],
)
def test_what_is_no_key_is_refused_by_its_place(policy: str, line: str, fault: str) -> None:
    with pytest.raises(HostKeyError, match=fault):
        checked_lines(HostKeyPolicy(policy), [line.replace("{key}", KEY)])


@pytest.mark.parametrize("given", ["{}", "{} root@files", "files.example {}", "[files.example]:2222 {} x"])
def test_a_key_is_read_whatever_stands_around_it(given: str) -> None:
    assert public_key(given.format(KEY)) == KEY
    assert fingerprint(given.format(KEY)).startswith("SHA256:")


@pytest.mark.parametrize(
    ("line", "port", "about"),
    [
        ("files.example", 22, True),
        ("files.example", 2222, True),
        ("[files.example]:2222", 2222, True),
        ("[files.example]:2222", 22, False),
        ("other.example,files.example", 22, True),
        ("other.example", 22, False),
    ],
)
def test_which_lines_are_about_a_server(line: str, port: int, *, about: bool) -> None:
    assert is_about(f"{line} {KEY}", "files.example", port) is about


def test_authorities_and_revocations_are_about_no_server_of_their_own() -> None:
    assert not is_about(f"@cert-authority files.example {KEY}", "files.example", 22)
