"""The notifiers together: the log, which places they open, and that none of them ever tells a secret."""

import asyncio
import base64
import io
import json
import logging
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme

from net.errors import NetError
from net.redaction import LIVE_SECRETS, RedactingFilter
from runtime.logs import JsonFormatter, fields_of
from runtime.notifiers import egress_policy
from runtime.settings import Settings
from tests.fixtures.http import Answer, FaultServer, Received, Wire, server_tls
from tests.fixtures.mail import mail_host
from tests.fixtures.notifying import (
    PATH,
    SECRET,
    email_to,
    failure,
    notification,
    opened,
    webhook_to,
)


@pytest.fixture
def debug_log() -> Iterator[io.StringIO]:
    """All that this process logs, as the product writes it."""
    root, stream = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(JsonFormatter())
    handler.addFilter(RedactingFilter())
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    transport = logging.getLogger("httpcore2")  # an earlier test of this process may have quieted it
    before = transport.level
    transport.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)
    transport.setLevel(before)


async def test_without_settings_there_is_the_log_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as notifiers:
        assert list(notifiers) == ["log"]


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("needs_reconnect", logging.WARNING),
        ("client_refused", logging.WARNING),
        ("refresh_token_ends", logging.WARNING),
        ("token_set_aside", logging.WARNING),
        ("reconnected", logging.INFO),
        ("test", logging.INFO),
    ],
)
async def test_the_log_gets_one_line_with_the_fields_of_the_notification(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, level: int
) -> None:
    caplog.set_level(logging.INFO, "runtime.notifiers")
    async with opened(tmp_path) as notifiers:
        await notifiers["log"].tell(notification(kind=kind, message="The grant\nis dead"))
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (level, "The grant is dead: tieline accounts connect crm-main")
    assert fields_of(record) == {"account": "crm-main", "kind": kind, "cause": "invalid_grant"}
    assert json.loads(JsonFormatter().format(record))["cause"] == "invalid_grant"


@pytest.mark.parametrize(
    ("configured", "host", "address", "port"),
    [
        ("hooks.internal", "hooks.internal", "10.0.0.7", 8443),
        ("10.0.0.7", "10.0.0.7", "10.0.0.7", 8443),
        ("fd00::7", "fd00::7", "fd00::7", 8443),
        ("localhost", "localhost", "127.0.0.1", 8443),
        ("hooks.internal", "hooks.internal", "127.0.0.3", 8443),  # by the operator's rule for the address
    ],
)
def test_a_private_place_is_open_because_it_is_configured(
    tmp_path: Path, configured: str, host: str, address: str, port: int
) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path, "egress_allow": "127.0.0.3:8443"})
    policy = egress_policy(settings, configured, 8443)
    assert policy.check(host, [ip_address(address)], port, ports={port}) == [ip_address(address)]


@pytest.mark.parametrize(
    ("configured", "host", "address", "port"),
    [
        ("hooks.internal", "hooks.internal", "10.0.0.7", 8444),
        ("hooks.internal", "other.internal", "10.0.0.7", 8443),
        ("10.0.0.7", "10.0.0.8", "10.0.0.8", 8443),
        ("hooks.internal", "hooks.internal", "127.0.0.1", 8443),
        ("hooks.internal", "hooks.internal", "169.254.169.254", 8443),
    ],
)
def test_nothing_else_is_open_because_of_it(
    tmp_path: Path, configured: str, host: str, address: str, port: int
) -> None:
    policy = egress_policy(Settings.model_validate({"data_dir": tmp_path}), configured, 8443)
    with pytest.raises(NetError, match="closed by the egress policy"):
        policy.check(host, [ip_address(address)], port, ports={port})


async def test_words_from_outside_take_no_secret_along(tmp_path: Path, http_server: FaultServer) -> None:
    LIVE_SECRETS.add("canary-in-a-cause")
    http_server.reply(PATH)
    leaky = notification(message="it said canary-in-a-cause", cause="canary-in-a-cause", next_step="canary-in-a-cause")
    async with (
        mail_host() as host,
        opened(tmp_path, **webhook_to(http_server.url + PATH), **email_to(host)) as notifiers,
    ):
        await notifiers["webhook"].tell(leaky)
        await notifiers["email"].tell(leaky)
    assert b"canary" not in http_server.received[0].body
    assert "[redacted]" in http_server.received[0].body.decode()
    assert "canary" not in host.taken[0].text
    assert "it said [redacted]" in host.taken[0].text


async def test_no_secret_of_a_notifier_is_in_a_log_or_an_error(
    tmp_path: Path, http_server: FaultServer, debug_log: io.StringIO, authority: trustme.CA, trusted: Path
) -> None:
    """Receiver and mail server quote back all that they were sent, and the transports log it."""
    password, key, part = "canary-mail-password/+", "canary-key-in-the-url", "canary-in-the-path-of-it"
    quoting = f"550 {password} {base64.b64encode(f'{chr(0)}ops{chr(0)}{password}'.encode()).decode()}"

    async def quote(request: Received, _: Wire) -> Answer:
        return Answer(500, f"{request.target} {SECRET}".encode(), [("X-Quoted", f"{SECRET} {request.target}")])

    http_server.on(f"{PATH}/{part}", quote)
    tls = server_tls(authority, "localhost")
    async with mail_host(tls=tls, users={"ops": password}, refusals={"MAIL": quoting}) as host:
        url = f"{http_server.url}{PATH}/{part}?key={key}"
        mail = {"smtp_url": f"smtp://ops@localhost:{host.port}", "smtp_password": password}
        async with opened(tmp_path, **webhook_to(url), **email_to(host) | mail) as notifiers:
            failed = [await failure(notifiers["webhook"]), await failure(notifiers["email"])]
    assert host.logins == [("ops", password)]
    assert http_server.received[0].query == [("key", key)]
    told = "\n".join([*failed, debug_log.getvalue()])
    assert "550 [redacted]" in failed[1]
    assert "X-Quoted" in told
    found = [each for each in (password, key, part, SECRET, SECRET.removeprefix("whsec_")) if each in told]
    assert found == []


async def test_both_may_be_told_at_once(tmp_path: Path, http_server: FaultServer) -> None:
    http_server.reply(PATH)
    async with (
        mail_host() as host,
        opened(tmp_path, **webhook_to(http_server.url + PATH), **email_to(host)) as notifiers,
    ):
        await asyncio.gather(*(each.tell(notification(id=f"n-{n}")) for each in notifiers.values() for n in range(5)))
    assert len(http_server.received) == len(host.taken) == 5
