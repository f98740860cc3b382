"""Host keys as people hand them in."""

import asyncssh
import pytest

from auth.host_key_lines import HostKeyError, checked_lines, fingerprint, is_about, public_key
from definitions.auth.simple import HostKeyPolicy
from net.sftp_server import host_pattern

KEY = " ".join(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[:2])


@pytest.mark.parametrize(
    ("policy", "line", "fault"),
    [
        ("pinned", "ssh-ed25519 AAAA", "not an OpenSSH public key"),
        ("pinned", "-----BEGIN OPENSSH PRIVATE KEY-----", "not an OpenSSH public key"),
        ("pinned", "# nothing", "no host key"),
        ("known_hosts", "files.example", "not HOST TYPE KEY"),
        ("known_hosts", "{key}", "keys without a host are for the policies pinned and confirm_first"),
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
        ("[Files.Example]:2222", 2222, True),
        ("files.example.", 22, True),
        ("other.example.,[FILES.example.]:2222", 2222, True),
    ],
)
def test_which_lines_are_about_a_server(line: str, port: int, *, about: bool) -> None:
    assert is_about(f"{line} {KEY}", "files.example", port) is about


@pytest.mark.parametrize("host", ["files.example", "FILES.example", "files.example."])
def test_a_line_is_found_however_the_server_is_written(host: str) -> None:
    assert is_about(f"{host_pattern(host, 2222)} {KEY}", "Files.Example.", 2222)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("[Files.Example.]:2222,*.Example", "[files.example]:2222,*.example"),
        ("|1|AAAA|BBBB", "|1|AAAA|BBBB"),
        ("*.", "*."),
    ],
    ids=["lower case", "hashed", "no name before the dot"],
)
def test_hosts_are_kept_as_they_are_compared(given: str, kept: str) -> None:
    assert checked_lines(HostKeyPolicy.KNOWN_HOSTS, [f"@revoked {given} {KEY}"]) == [f"@revoked {kept} {KEY}"]


def test_authorities_and_revocations_are_about_no_server_of_their_own() -> None:
    assert not is_about(f"@cert-authority files.example {KEY}", "files.example", 22)
