"""No connection but to a server whose key is trusted: security rows 38 (changed, unknown, nothing trusted)."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import logging

import asyncssh
import pytest

from net.sftp_errors import SftpError
from net.sftp_server import SftpServer
from net.ssh_pool import SshConnections
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.ssh_connections import ssh_connections
from tests.fixtures.sshd import HOST, Sshd

STRANGER = asyncssh.generate_private_key("ssh-ed25519")
STRANGERS_KEY = STRANGER.export_public_key().decode().strip()


async def _reaches(connections: SshConnections, server: SftpServer) -> bool:
    async with connections.session(server) as session:
        return await session.stat(".") is not None


async def _refusal(connections: SshConnections, server: SftpServer) -> SftpError:
    with pytest.raises(SftpError) as refused:
        await _reaches(connections, server)
    return refused.value


def _hashed(host: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, host.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("policy", ["pinned", "confirm_first"])
async def test_a_server_with_several_keys_shows_the_one_that_is_trusted(
    sshd: Sshd, connections: SshConnections, kind: str, policy: str
) -> None:
    assert await _reaches(connections, sshd.server(policy=policy, trusted=(sshd.public_key(kind),)))


async def test_several_keys_may_be_trusted_while_a_server_changes_its_own(
    sshd: Sshd, connections: SshConnections
) -> None:
    assert await _reaches(connections, sshd.server(trusted=(STRANGERS_KEY, sshd.public_key())))


@pytest.mark.parametrize(
    "hosts",
    [
        "[127.0.0.1]:{port}",
        "127.0.0.1",
        "other.example,[127.0.0.1]:{port}",
        "[127.0.0.*]:{port}",
        "*",
        "hashed",
    ],
)
async def test_a_line_of_known_hosts_is_matched_as_openssh_does(
    sshd: Sshd, connections: SshConnections, hosts: str
) -> None:
    pattern = _hashed(f"[{HOST}]:{sshd.port}") if hosts == "hashed" else hosts.format(port=sshd.port)
    lines = f"# the server\n\n{pattern} {sshd.public_key()} a comment"

    assert await _reaches(connections, sshd.server(policy="known_hosts", trusted=(lines,)))


async def test_a_name_in_known_hosts_is_compared_without_regard_to_case(
    sshd: Sshd, connections: SshConnections
) -> None:
    lines = f"[LocalHost]:{sshd.port} {sshd.public_key()}"

    assert await _reaches(connections, sshd.server(host="LOCALHOST", policy="known_hosts", trusted=(lines,)))


async def test_a_line_for_the_address_says_nothing_about_a_name_that_leads_to_it(
    sshd: Sshd, connections: SshConnections
) -> None:
    server = sshd.server(host="localhost", policy="known_hosts", trusted=(sshd.known_hosts(),))

    assert (await _refusal(connections, server)).code == "host_key_unknown"


async def test_a_host_certificate_by_a_trusted_authority_is_enough(sshd: Sshd, connections: SshConnections) -> None:
    line = f"@cert-authority * {sshd.text('ca.pub')}"

    assert await _reaches(connections, sshd.server(policy="known_hosts", trusted=(line,)))


async def test_a_host_certificate_by_another_authority_is_not(sshd: Sshd, connections: SshConnections) -> None:
    line = f"@cert-authority * {STRANGERS_KEY}"

    refused = await _refusal(connections, sshd.server(policy="known_hosts", trusted=(line,)))

    assert refused.code == "host_key_changed"
    assert refused.keys is None
    assert STRANGER.get_fingerprint() in str(refused)


@pytest.mark.parametrize(
    ("principals", "valid_before", "said"), [(["elsewhere"], 2**62, "principal"), ([HOST], 1000, "expired")]
)
async def test_a_host_certificate_that_is_not_valid_here_is_refused_with_the_reason(
    faulty: FaultySftp, connections: SshConnections, principals: list[str], valid_before: int, said: str
) -> None:
    authority, key = STRANGER, asyncssh.generate_private_key("ssh-ed25519")
    certificate = authority.generate_host_certificate(key, "host", principals=principals, valid_before=valid_before)
    assert faulty.acceptor is not None
    faulty.acceptor.update(server_host_keys=[(key, certificate)])

    refused = await _refusal(
        connections, faulty.server(policy="known_hosts", trusted=(f"@cert-authority * {STRANGERS_KEY}",))
    )

    assert refused.code == "host_key_changed"
    assert refused.keys is None
    assert said in str(refused)


async def test_a_revoked_key_is_refused_although_it_is_listed(sshd: Sshd, connections: SshConnections) -> None:
    lines = (sshd.known_hosts(), f"@revoked * {sshd.public_key()}")

    refused = await _refusal(connections, sshd.server(policy="known_hosts", trusted=lines))

    assert refused.code == "host_key_changed"
    assert refused.keys is None
    assert "revoked" in str(refused)


async def test_a_revoked_key_is_refused_although_an_authority_has_certified_it(
    sshd: Sshd, connections: SshConnections
) -> None:
    lines = (f"@cert-authority * {sshd.text('ca.pub')}", f"@revoked * {sshd.public_key()}")

    refused = await _refusal(connections, sshd.server(policy="known_hosts", trusted=lines))

    assert "revoked" in str(refused)


async def test_a_changed_key_is_told_with_both_fingerprints_and_nothing_is_logged_in(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    server = faulty.server()
    assert await _reaches(connections, server)
    before = asyncssh.import_public_key(server.trusted[0]).get_fingerprint()
    after = faulty.change_host_key()

    refused = await _refusal(connections, faulty.server(version=2, trusted=server.trusted))

    assert refused.code == "host_key_changed"
    assert refused.keys is not None
    assert (refused.keys.presented, refused.keys.expected) == (after, (before,))
    assert refused.keys.public_key == faulty.public_key
    assert before in str(refused)
    assert after in str(refused)
    assert faulty.logins == 1


async def test_a_changed_key_is_accepted_once_somebody_has_confirmed_it(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    server = faulty.server()
    faulty.change_host_key()
    keys = (await _refusal(connections, server)).keys
    assert keys is not None

    assert await _reaches(connections, faulty.server(version=2, trusted=(*server.trusted, keys.public_key)))


async def test_an_unknown_key_is_told_with_its_fingerprint(faulty: FaultySftp, connections: SshConnections) -> None:
    server = faulty.server(policy="known_hosts", trusted=(f"elsewhere.example {STRANGERS_KEY}",))

    refused = await _refusal(connections, server)

    assert refused.code == "host_key_unknown"
    assert refused.keys is not None
    assert refused.keys.presented == faulty.host_key.get_fingerprint()
    assert refused.keys.expected == ()
    assert faulty.logins == 0


@pytest.mark.parametrize("policy", ["known_hosts", "pinned", "confirm_first"])
@pytest.mark.parametrize("trusted", [(), ("",), ("\n",)])
async def test_without_anything_trusted_no_connection_is_made(
    faulty: FaultySftp, connections: SshConnections, policy: str, trusted: tuple[str, ...]
) -> None:
    refused = await _refusal(connections, faulty.server(policy=policy, trusted=trusted))

    assert refused.code == "no_trust"
    assert faulty.connections == 0


async def test_the_known_hosts_of_whoever_runs_the_process_are_not_asked(
    faulty: FaultySftp, connections: SshConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = faulty.folder / ".ssh"
    ssh.mkdir()
    (ssh / "known_hosts").write_text(f"[{HOST}]:{faulty.port} {faulty.public_key}\n")
    monkeypatch.setenv("HOME", str(faulty.folder))

    refused = await _refusal(connections, faulty.server(policy="known_hosts", trusted=(f"else {STRANGERS_KEY}",)))

    assert refused.code == "host_key_unknown"


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        ("known_hosts", "host.example not-a-key"),
        ("known_hosts", "ssh-ed25519"),
        ("known_hosts", f"|1|bad {STRANGERS_KEY}"),
        ("known_hosts", f"@unknown host {STRANGERS_KEY}"),
        ("pinned", "SHA256:abcdef"),
        ("pinned", STRANGER.export_private_key().decode()),
    ],
    ids=["no key", "no host", "a broken hash", "an unknown marker", "a fingerprint", "a private key"],
)
async def test_trust_that_cannot_be_read_is_an_error_that_names_the_line(
    faulty: FaultySftp, connections: SshConnections, policy: str, line: str
) -> None:
    refused = await _refusal(connections, faulty.server(policy=policy, trusted=(line,)))

    assert refused.code == "no_trust"
    assert "1" in str(refused)
    assert "PRIVATE" not in str(refused)
    assert faulty.connections == 0


async def test_insecure_is_refused_unless_the_operator_allows_it(
    faulty: FaultySftp, connections: SshConnections
) -> None:
    refused = await _refusal(connections, faulty.server(policy="insecure", trusted=()))

    assert refused.code == "no_trust"
    assert faulty.connections == 0


async def test_insecure_is_warned_of_each_time(faulty: FaultySftp, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "net.ssh_pool"):
        async with ssh_connections(allow_insecure=True) as connections:
            assert await _reaches(connections, faulty.server(policy="insecure", trusted=()))
            assert await _reaches(connections, faulty.server(policy="insecure", trusted=()))

    assert [record.message for record in caplog.records if "not checked" in record.message] == [
        f"SFTP server {HOST}:{faulty.port}: its key is not checked (account account-{faulty.port})"
    ] * 2


async def test_the_keys_that_a_server_offers_can_be_asked_for_before_any_login(
    sshd: Sshd, connections: SshConnections
) -> None:
    keys = await connections.host_keys(HOST, sshd.port, frozenset({sshd.port}))

    assert [key.public for key in keys] == [sshd.public_key(kind) for kind in ("ed25519", "ecdsa", "rsa")]
    assert all(key.fingerprint.startswith("SHA256:") for key in keys)


async def test_a_server_that_hangs_up_on_who_wants_a_key_that_it_has_not_is_asked_for_the_others(
    sshd: Sshd, connections: SshConnections
) -> None:
    asked_for: list[asyncio.StreamWriter] = []

    async def first_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked_for.append(writer)
        if len(asked_for) == 1:
            await passed_on(reader, writer, sshd.port)
        writer.close()

    async with await asyncio.start_server(first_only, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        keys = await connections.host_keys(HOST, port, frozenset({port}))

    assert [key.public for key in keys] == [sshd.public_key()]
    assert len(asked_for) == 3


async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """What a server on this port answers."""
    there, back = await asyncio.open_connection(HOST, port)
    await asyncio.gather(copied(reader, back), copied(there, writer))


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


async def test_a_server_with_one_kind_of_key_offers_one(faulty: FaultySftp, connections: SshConnections) -> None:
    keys = await connections.host_keys(HOST, faulty.port, frozenset({faulty.port}))

    assert [key.public for key in keys] == [faulty.public_key]
