"""The notifiers as settings make them: the log, the webhook at a real receiver, e-mail at a real server; what each says
of its own failure, and what none of them ever says."""

import asyncio
import base64
import contextlib
import io
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from standardwebhooks import Webhook, WebhookVerificationError

from definitions.notification import Notification
from net.client import GuardedClient
from net.redaction import LIVE_SECRETS, RedactingFilter
from runtime.logs import JsonFormatter, fields_of
from runtime.notifiers import Notifier, NotifierFailed, WebhookNotifier, open_notifiers
from runtime.settings import Settings
from tests.fixtures.http import Answer, FaultServer, Received, Wire, server_tls, serving
from tests.fixtures.mail import MailHost, mail_host

KEY = b"a key of thirty-two bytes, no le"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
PATH = "/hooks/tieline"
DEAD = {
    "id": "n-17",
    "kind": "needs_reconnect",
    "account": "crm-main",
    "integration": "salesforce",
    "cause": "invalid_grant",
    "message": "The grant of account 'crm-main' is dead",
    "next_step": "tieline accounts connect crm-main",
    "happened_at": "2026-11-25T18:29:00Z",
}
RECONNECTED = DEAD | {
    "id": "n-18",
    "kind": "reconnected",
    "message": "Account 'crm-main' is connected again",
    "next_step": None,
    "runs_resumed": 12,
}


@pytest.fixture
def debug_log() -> Iterator[io.StringIO]:
    """All that this process logs, as the product writes it."""
    root, stream = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(JsonFormatter())
    handler.addFilter(RedactingFilter())
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def notification(**changes: Any) -> Notification:
    return Notification.model_validate({**DEAD, **changes})


@contextlib.asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[dict[str, Notifier]]:
    """The notifiers that these settings make, by name."""
    async with open_notifiers(Settings.model_validate({"data_dir": folder, **settings})) as notifiers:
        yield {notifier.name: notifier for notifier in notifiers}


def webhook_to(url: str) -> dict[str, Any]:
    return {"notify_webhook_url": url, "notify_webhook_secret": SECRET}


def email_to(host: MailHost, *recipients: str, scheme: str = "smtp+plain") -> dict[str, Any]:
    return {
        "notify_email_to": list(recipients) or ["ops@example.com"],
        "notify_email_from": "tieline@example.com",
        "smtp_url": f"{scheme}://localhost:{host.port}",
    }


async def failure(notifier: Notifier, told: Notification | None = None) -> str:
    with pytest.raises(NotifierFailed) as failed:
        await notifier.tell(told or notification())
    return str(failed.value)


async def test_without_settings_there_is_the_log_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as notifiers:
        assert list(notifiers) == ["log"]


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("needs_reconnect", logging.WARNING),
        ("client_refused", logging.WARNING),
        ("refresh_token_ends", logging.WARNING),
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


async def test_a_receiver_gets_the_notification_as_it_is(tmp_path: Path, http_server: FaultServer) -> None:
    http_server.reply(PATH, 204)
    async with opened(tmp_path, **webhook_to(http_server.url + PATH + "?from=tieline")) as notifiers:
        await notifiers["webhook"].tell(notification(**RECONNECTED))
    [request] = http_server.received
    assert (request.method, request.target) == ("POST", PATH + "?from=tieline")
    assert request.header("content-type") == "application/json"
    assert json.loads(request.body) == RECONNECTED
    assert not LIVE_SECRETS.knows("tieline"), "a word of the URL is no secret"


async def test_a_receiver_verifies_it_with_the_library_of_the_standard(
    tmp_path: Path, http_server: FaultServer
) -> None:
    http_server.reply(PATH)
    async with opened(tmp_path, **webhook_to(http_server.url + PATH)) as notifiers:
        await notifiers["webhook"].tell(notification(message="größer"))
    [request] = http_server.received
    headers = dict(request.headers)
    assert headers["webhook-id"] == "n-17"
    assert Webhook(SECRET).verify(request.body, headers)["message"] == "größer"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body.replace(b"crm-main", b"crm-evil"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body, headers | {"webhook-id": "n-18"})
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"x" * 32).decode()).verify(request.body, headers)


async def test_a_repeat_has_the_same_id_and_the_time_of_its_own(
    http_server: FaultServer, http_client: GuardedClient
) -> None:
    http_server.reply(PATH)
    times = iter([1_700_000_000.9, 1_700_000_060.0])
    notifier = WebhookNotifier(http_client, http_server.url + PATH, KEY, clock=lambda: next(times))
    await notifier.tell(notification())
    await notifier.tell(notification())
    first, again = http_server.received
    assert first.header("webhook-id") == again.header("webhook-id") == "n-17"
    assert (first.header("webhook-timestamp"), again.header("webhook-timestamp")) == ("1700000000", "1700000060")
    assert first.header("webhook-signature") != again.header("webhook-signature")
    assert first.body == again.body


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_means_that_it_has_arrived(tmp_path: Path, http_server: FaultServer, status: int) -> None:
    http_server.reply(PATH, status)
    async with opened(tmp_path, **webhook_to(http_server.url + PATH)) as notifiers:
        await notifiers["webhook"].tell(notification())
    assert len(http_server.received) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
async def test_another_status_is_a_failure_and_nothing_is_sent_again(
    tmp_path: Path, http_server: FaultServer, status: int
) -> None:
    http_server.reply(PATH, status, b"canary of the receiver")
    async with opened(tmp_path, **webhook_to(http_server.url + PATH)) as notifiers:
        failed = await failure(notifiers["webhook"])
    assert failed == (
        f"notifier webhook: {http_server.url} answered {status}; next step: see what its receiver says; "
        "it must answer 2xx, and be the one that TIELINE_NOTIFY_WEBHOOK_URL means"
    )
    assert len(http_server.received) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(
    tmp_path: Path, http_server: FaultServer, other_http_server: FaultServer, status: int
) -> None:
    http_server.reply(PATH, status, headers=[("Location", other_http_server.url + "/canary")])
    async with opened(tmp_path, **webhook_to(http_server.url + PATH)) as notifiers:
        failed = await failure(notifiers["webhook"])
    assert f"answered {status}; next step: redirects are not followed: set TIELINE_NOTIFY_WEBHOOK_URL" in failed
    assert "canary" not in failed
    assert other_http_server.connections == 0


async def test_what_a_receiver_writes_under_a_2xx_does_not_matter(tmp_path: Path, http_server: FaultServer) -> None:
    http_server.replies(PATH, Answer(200, b"x" * 100_000), Answer(200, b"x", [("Content-Encoding", "gzip")]))
    async with opened(tmp_path, **webhook_to(http_server.url + PATH)) as notifiers:
        await notifiers["webhook"].tell(notification())
        await notifiers["webhook"].tell(notification())
    assert len(http_server.received) == 2


async def test_a_receiver_that_is_away_is_told_with_the_next_step(tmp_path: Path, http_server: FaultServer) -> None:
    url = http_server.url
    http_server.refuse()
    async with opened(tmp_path, **webhook_to(url + PATH)) as notifiers:
        failed = await failure(notifiers["webhook"])
    assert failed == (
        f"notifier webhook: POST {url}: no connection: connection refused; "
        "next step: see that it runs, and that TIELINE_NOTIFY_WEBHOOK_URL is right"
    )


async def test_a_receiver_that_hangs_is_given_up_at_the_deadline(
    http_server: FaultServer, http_client: GuardedClient
) -> None:
    async def hang(_: Received, wire: Wire) -> None:
        await wire.hang()

    http_server.on(PATH, hang)
    notifier = WebhookNotifier(http_client, http_server.url + PATH, KEY, deadline=0.2)
    started = time.monotonic()
    assert "no complete answer within 0.2 s" in await failure(notifier)
    assert time.monotonic() - started < 5


async def test_a_receiver_with_a_certificate_of_nobody_is_not_told(tmp_path: Path, tls_server: FaultServer) -> None:
    async with opened(tmp_path, **webhook_to(tls_server.url + PATH)) as notifiers:
        failed = await failure(notifiers["webhook"])
    assert "certificate is not accepted: unable to get local issuer certificate; next step: " in failed
    assert "SSL_CERT_FILE" in failed
    assert tls_server.received == []


async def test_a_receiver_with_a_trusted_certificate_is_told(
    tmp_path: Path, authority: trustme.CA, trusted: Path
) -> None:
    async with serving(FaultServer(server_tls(authority, "localhost"))) as server:
        server.reply(PATH)
        async with opened(tmp_path, **webhook_to(server.url + PATH)) as notifiers:
            await notifiers["webhook"].tell(notification())
    assert len(server.received) == 1


async def test_a_private_receiver_is_reached_exactly_as_it_is_configured(
    tmp_path: Path, http_server: FaultServer, other_http_server: FaultServer
) -> None:
    other_http_server.reply(PATH)
    async with opened(tmp_path, **webhook_to(http_server.url + PATH)) as notifiers:
        configured = notifiers["webhook"]
        assert isinstance(configured, WebhookNotifier)
        elsewhere = WebhookNotifier(configured._http, other_http_server.url + PATH, KEY)
        assert "answered 404" in await failure(configured)
        assert "closed by the egress policy" in await failure(elsewhere)
    assert (http_server.connections, other_http_server.connections) == (1, 0)


async def test_people_get_an_email(tmp_path: Path) -> None:
    async with mail_host() as host, opened(tmp_path, **email_to(host, "ops@example.com", "b@x.org")) as notifiers:
        await notifiers["email"].tell(notification())
    [taken] = host.taken
    assert (taken.sender, taken.recipients) == ("tieline@example.com", ["ops@example.com", "b@x.org"])
    assert taken.message["Subject"] == "Tieline: account crm-main needs to be connected again"
    assert "Next step: tieline accounts connect crm-main\n" in taken.text


async def test_an_email_that_is_told_again_has_the_same_message_id(tmp_path: Path) -> None:
    async with mail_host() as host, opened(tmp_path, **email_to(host)) as notifiers:
        await notifiers["email"].tell(notification())
        await notifiers["email"].tell(notification())
    first, again = (taken.message for taken in host.taken)
    assert first["Message-ID"] == again["Message-ID"]


async def test_a_recipient_who_is_refused_is_logged_and_the_others_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        mail_host(refusals={"gone@x.org": "550 5.1.1 who?"}) as host,
        opened(tmp_path, **email_to(host, "gone@x.org", "ops@example.com")) as notifiers,
    ):
        await notifiers["email"].tell(notification())
    assert [taken.recipients for taken in host.taken] == [["ops@example.com"]]
    assert caplog.messages == [
        f"notifier email: smtp+plain://localhost:{host.port} refused gone@x.org: 550 5.1.1 who?; "
        "correct TIELINE_NOTIFY_EMAIL_TO"
    ]


@pytest.mark.parametrize(
    ("options", "scheme", "message"),
    [
        ({}, "smtp", "it offers no STARTTLS; next step: use smtps:// where it speaks TLS from the start"),
        ({"refusals": {"MAIL": "553 no"}}, "smtp+plain", "it refused the sender: 553 no; next step: use an address in"),
        ({"refusals": {"DATA": "554 no"}}, "smtp+plain", "it answered 554 no; next step: see what it says"),
    ],
)
async def test_a_failed_email_is_told_with_the_next_step(
    tmp_path: Path, options: dict[str, Any], scheme: str, message: str
) -> None:
    async with mail_host(**options) as host, opened(tmp_path, **email_to(host, scheme=scheme)) as notifiers:
        failed = await failure(notifiers["email"])
    assert failed.startswith(f"notifier email: {scheme}://localhost:{host.port}: {message}")


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
