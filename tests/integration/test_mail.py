"""Handing mail in at a real server: over TLS in both ways and without, with a password and without; each fault by name,
and none of them later than the deadline."""

import asyncio
import base64
import contextlib
import socket
import time
from pathlib import Path

import psutil
import pytest
import trustme

from net.mail import Mailer, MailError
from net.redaction import LIVE_SECRETS
from tests.fixtures.http import Names, server_tls
from tests.fixtures.mail import Talk, mail_host, mailing, talking
from tests.fixtures.waiting import until

SENDER, OPS, BOSS = "tieline@example.com", "ops@example.com", "boss@example.com"
MESSAGE = b"Subject: hello\r\n\r\n.a line that begins with a full stop\r\n"
PASSWORD = "correct-horse/battery+staple"


async def failure(mailer: Mailer) -> MailError:
    """How the message was not taken."""
    with pytest.raises(MailError) as failed:
        await mailer.send(SENDER, [OPS], MESSAGE)
    return failed.value


async def test_a_message_arrives_as_it_was_handed_in() -> None:
    async with mail_host() as host, mailing(f"smtp+plain://127.0.0.1:{host.port}") as mailer:
        refused = await mailer.send(SENDER, [OPS, BOSS], MESSAGE)
    assert refused == []
    [taken] = host.taken
    assert (taken.sender, taken.recipients, taken.raw) == (SENDER, [OPS, BOSS], MESSAGE)
    assert host.names == ["[127.0.0.1]"]


@pytest.mark.parametrize(("scheme", "implicit"), [("smtps", True), ("smtp", False)])
async def test_a_message_and_its_password_go_over_tls(
    authority: trustme.CA, trusted: Path, scheme: str, implicit: bool
) -> None:
    tls = server_tls(authority, "localhost")
    async with mail_host(tls=tls, implicit=implicit, users={"ops@mail": PASSWORD}) as host:
        url = f"{scheme}://ops%40mail:correct-horse%2Fbattery%2Bstaple@localhost:{host.port}"
        async with mailing(url) as mailer:
            await mailer.send(SENDER, [OPS], MESSAGE)
    [taken] = host.taken
    assert taken.encrypted
    assert host.logins == [("ops@mail", PASSWORD)]


async def test_a_password_goes_in_clear_to_this_machine_only_where_that_was_said() -> None:
    async with (
        mail_host(users={"ops": "hunter2-hunter2"}) as host,
        mailing(f"smtp+plain://ops:hunter2-hunter2@127.0.0.1:{host.port}") as mailer,
    ):
        await mailer.send(SENDER, [OPS], MESSAGE)
    assert [taken.encrypted for taken in host.taken] == [False]
    assert host.logins == [("ops", "hunter2-hunter2")]


async def test_nothing_is_said_in_clear_to_a_server_without_starttls() -> None:
    async with mail_host(users={"ops": PASSWORD}) as host, mailing(f"smtp://ops:x@127.0.0.1:{host.port}") as mailer:
        failed = await failure(mailer)
    assert failed.code == "no_starttls"
    assert str(failed) == f"smtp://127.0.0.1:{host.port}: it offers no STARTTLS"
    assert (host.taken, host.logins) == ([], [])


@pytest.mark.parametrize(("scheme", "implicit"), [("smtps", True), ("smtp", False)])
@pytest.mark.parametrize(
    ("name", "reason"),
    [("localhost", "unable to get local issuer certificate"), ("other.example", "Hostname mismatch")],
    ids=["unknown authority", "another name"],
)
async def test_a_certificate_that_is_not_right_is_refused_before_the_password(
    authority: trustme.CA, request: pytest.FixtureRequest, scheme: str, implicit: bool, name: str, reason: str
) -> None:
    if name == "other.example":
        request.getfixturevalue("trusted")
    async with (
        mail_host(tls=server_tls(authority, name), implicit=implicit, users={"ops": PASSWORD}) as host,
        mailing(f"{scheme}://ops:{PASSWORD.replace('/', '%2F')}@localhost:{host.port}") as mailer,
    ):
        failed = await failure(mailer)
    assert failed.code == "tls_failed"
    assert f"{scheme}://localhost:{host.port}: no TLS session: the server's certificate is not accepted: " in str(
        failed
    )
    assert reason in str(failed)
    assert (host.taken, host.logins) == ([], [])


@pytest.mark.parametrize("implicit", [True, False], ids=["smtps", "smtp"])
@pytest.mark.parametrize(("certified", "taken"), [("mail.example", 1), ("localhost", 0)])
async def test_the_name_is_verified_although_the_connection_goes_to_an_address(
    authority: trustme.CA, trusted: Path, implicit: bool, certified: str, taken: int
) -> None:
    async with mail_host(tls=server_tls(authority, certified), implicit=implicit) as host:
        url = f"{'smtps' if implicit else 'smtp'}://mail.example:{host.port}"
        names = Names(mail_example=["127.0.0.1"])
        async with mailing(url, f"127.0.0.1:{host.port}", resolver=names) as mailer:
            with contextlib.nullcontext() if taken else pytest.raises(MailError, match="Hostname mismatch"):
                await mailer.send(SENDER, [OPS], MESSAGE)
    assert len(host.taken) == taken


async def test_authorities_that_cannot_be_read_are_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/authorities.pem")
    async with mail_host() as host, mailing(f"smtps://127.0.0.1:{host.port}") as mailer:
        failed = await failure(mailer)
    assert failed.code == "tls_failed"
    assert str(failed).endswith(": the authorities that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read")


async def test_a_refused_password_is_told_without_it(authority: trustme.CA, trusted: Path) -> None:
    encoded = base64.b64encode(b"\0ops\0short").decode()
    tls = server_tls(authority, "localhost")
    async with (
        mail_host(tls=tls, users={"ops": "other"}, refusals={"AUTH": f"535 short {encoded}"}) as host,
        mailing(f"smtp://ops:short@localhost:{host.port}") as mailer,
    ):
        failed = await failure(mailer)
    assert failed.code == "login_refused"
    assert str(failed) == f"smtp://localhost:{host.port}: it refused user and password (535)"
    assert ("ops", "short") in host.logins


async def test_a_server_that_lets_nobody_log_in_is_told_as_that(authority: trustme.CA, trusted: Path) -> None:
    async def without_login(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while await reader.readline():
            writer.write(b"250 hello\r\n")

    async with talking(without_login) as port, mailing(f"smtp+plain://ops:secret@127.0.0.1:{port}") as mailer:
        failed = await failure(mailer)
    assert failed.code == "login_refused"
    assert "no way to log in" in str(failed)


@pytest.mark.parametrize(
    ("refusals", "code", "message"),
    [
        ({"MAIL": "553 5.7.1 not yours"}, "sender_refused", "it refused the sender: 553 5.7.1 not yours"),
        ({OPS: "550 5.1.1 who?"}, "mail_refused", "it refused every recipient: 550 5.1.1 who?"),
        ({OPS: "451 4.7.1 greylisted"}, "mail_refused", "it refused every recipient: 451 4.7.1 greylisted"),
        ({"DATA": "554 5.6.0 spam"}, "mail_refused", "it answered 554 5.6.0 spam"),
    ],
)
async def test_a_refusal_is_told_in_the_words_of_the_server(refusals: dict[str, str], code: str, message: str) -> None:
    async with mail_host(refusals=refusals) as host, mailing(f"smtp+plain://127.0.0.1:{host.port}") as mailer:
        failed = await failure(mailer)
    assert (failed.code, str(failed)) == (code, f"smtp+plain://127.0.0.1:{host.port}: {message}")
    assert host.taken == []


async def test_a_server_that_quotes_a_secret_or_writes_to_the_terminal_is_told_without_that() -> None:
    LIVE_SECRETS.add("canary-of-the-mail-server")
    refusals = {"MAIL": "550 canary-of-the-mail-server \x1b[31mred" + "x" * 500}
    async with mail_host(refusals=refusals) as host, mailing(f"smtp+plain://127.0.0.1:{host.port}") as mailer:
        failed = str(await failure(mailer))
    assert "550 [redacted] [31mred" in failed
    assert failed.isprintable()
    assert len(failed) < 250


async def test_a_refused_recipient_does_not_keep_the_message_from_the_others() -> None:
    async with (
        mail_host(refusals={OPS: "550 5.1.1 who?"}) as host,
        mailing(f"smtp+plain://127.0.0.1:{host.port}") as mailer,
    ):
        refused = await mailer.send(SENDER, [OPS, BOSS], MESSAGE)
    assert refused == ["ops@example.com: 550 5.1.1 who?"]
    assert [taken.recipients for taken in host.taken] == [[BOSS]]


async def test_a_server_that_is_away_is_told_as_that() -> None:
    with socket.socket() as taken:  # nobody listens on it, and nobody else can
        taken.bind(("127.0.0.1", 0))
        url = f"smtp+plain://127.0.0.1:{taken.getsockname()[1]}"
        async with mailing(url) as mailer:
            failed = await failure(mailer)
    assert failed.code == "unreachable"
    assert str(failed) == f"{url}: no connection: connection refused"


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Each byte comes in time, the line never."""
    while not reader.at_eof():
        writer.write(b"2")
        await writer.drain()
        await asyncio.sleep(0.01)


async def hanging_after_data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 hello\r\n")
    while line := await reader.readline():
        writer.write(b"354 go on\r\n" if line == b"DATA\r\n" else b"250 fine\r\n")
        if line == b"DATA\r\n":
            await reader.read()


@pytest.mark.parametrize("scheme", ["smtp+plain", "smtps"])
@pytest.mark.parametrize("talk", [silent, dripping])
async def test_a_server_that_hangs_is_given_up_at_the_deadline(scheme: str, talk: Talk) -> None:
    started = time.monotonic()
    async with talking(talk) as port, mailing(f"{scheme}://127.0.0.1:{port}", deadline=0.2) as mailer:
        failed = await failure(mailer)
    assert failed.code in ("unreachable", "tls_failed")  # the bytes that drip are no TLS, and told as that at once
    assert time.monotonic() - started < 5


async def test_a_server_that_hangs_over_the_message_is_given_up_at_the_deadline() -> None:
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hanging_after_data(reader, writer)
        gone.set()

    async with talking(talk) as port, mailing(f"smtp+plain://127.0.0.1:{port}", deadline=0.2) as mailer:
        failed = await failure(mailer)
        await until(gone.is_set)
    assert str(failed) == f"smtp+plain://127.0.0.1:{port}: not done within 0.2 s"


async def test_nothing_is_left_of_a_connection_whose_server_hangs(authority: trustme.CA, trusted: Path) -> None:
    """A connection under TLS would be held until the other side has agreed to its end."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    def held(port: int) -> list[object]:
        connections = psutil.Process().net_connections("tcp")
        return [each for each in connections if each.raddr and each.raddr.port == port]

    tls = server_tls(authority, "localhost")
    async with talking(deaf, tls=tls) as port, mailing(f"smtps://localhost:{port}", deadline=1.0) as mailer:
        await failure(mailer)
        await until(lambda: held(port) == [], limit=10)


@pytest.mark.parametrize("hangs_up", [True, False], ids=["hangs up", "says nothing"])
async def test_a_message_that_was_taken_stays_taken_whatever_the_server_answers_to_the_farewell(
    hangs_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.mail.FAREWELL_SECONDS", 0.1)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            if line == b"QUIT\r\n":
                if hangs_up:
                    writer.transport.abort()
            elif line == b"DATA\r\n":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 taken\r\n")
            else:
                writer.write(b"250 fine\r\n")

    async with talking(talk) as port, mailing(f"smtp+plain://127.0.0.1:{port}") as mailer:
        assert await mailer.send(SENDER, [OPS], MESSAGE) == []


@pytest.mark.parametrize(
    ("greeting", "message"),
    [
        (b"554 5.3.2 no mail today\r\n", "it answered 554 5.3.2 no mail today"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak SMTP as it should"),
        (b"", "the connection was lost"),
    ],
)
async def test_a_server_that_greets_otherwise_is_told_as_that(greeting: bytes, message: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await writer.drain()
        writer.close()
        await reader.read()

    async with talking(talk) as port, mailing(f"smtp+plain://127.0.0.1:{port}") as mailer:
        failed = await failure(mailer)
    assert str(failed) == f"smtp+plain://127.0.0.1:{port}: {message}"


async def test_words_before_the_handshake_are_not_taken_for_the_server_s(authority: trustme.CA, trusted: Path) -> None:
    """Somebody on the way could put replies behind the one to STARTTLS, to be read as if they came over TLS."""
    tls = server_tls(authority, "localhost")
    lines: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readline()
        writer.write(b"250-hello\r\n250 STARTTLS\r\n")
        await reader.readline()
        writer.write(b"220 go on\r\n250-planted\r\n250 AUTH PLAIN\r\n")
        await writer.start_tls(tls)
        while line := await reader.readline():
            lines.append(line)
            writer.write(b"250 nothing to log in with\r\n")

    async with talking(talk) as port, mailing(f"smtp://ops:secret@localhost:{port}", deadline=5.0) as mailer:
        failed = await failure(mailer)
    assert failed.code == "login_refused"
    assert [line.partition(b" ")[0].strip() for line in lines] == [b"EHLO"]


@pytest.mark.parametrize(
    ("allow", "reached"),
    [("127.0.0.1:{port}", True), ("127.0.0.1:1", False), ("10.0.0.0/8", False), ("mail.example:{port}", False)],
)
async def test_a_private_address_is_reached_only_where_it_is_allowed(allow: str, reached: bool) -> None:
    async with (
        mail_host() as host,
        mailing(
            f"smtp+plain://mail.example:{host.port}",
            allow.replace("{port}", str(host.port)),
            resolver=Names(mail_example=["127.0.0.1"]),
        ) as mailer,
    ):
        if reached:
            await mailer.send(SENDER, [OPS], MESSAGE)
        else:
            assert "closed by the egress policy" in str(await failure(mailer))
    assert len(host.taken) == reached


@pytest.mark.parametrize("addresses", ["127.0.0.1 127.0.0.2", "127.0.0.2 127.0.0.1"])
async def test_another_address_is_tried_where_one_is_away(addresses: str) -> None:
    async with (
        mail_host() as host,
        mailing(
            f"smtp+plain://mail.example:{host.port}",
            "127.0.0.1",
            "127.0.0.2",
            resolver=Names(mail_example=[addresses]),
        ) as mailer,
    ):
        await mailer.send(SENDER, [OPS], MESSAGE)
    assert len(host.taken) == 1


async def test_a_name_that_is_none_is_told_as_that() -> None:
    async with mailing("smtp+plain://no-such-host.invalid", "10.0.0.1") as mailer:
        failed = await failure(mailer)
    assert failed.code == "unreachable"
    assert "no-such-host.invalid cannot be looked up" in str(failed)
