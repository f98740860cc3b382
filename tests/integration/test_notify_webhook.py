"""The webhook at a real receiver: what arrives there, what counts as told, and what is said where it is not."""

import base64
import json
import time
from pathlib import Path

import pytest
import trustme
from standardwebhooks import Webhook, WebhookVerificationError

from net.client import GuardedClient
from net.egress import EgressPolicy
from net.redaction import LIVE_SECRETS
from runtime.notifiers import WebhookNotifier
from tests.fixtures.http import Answer, FaultServer, Received, Wire, server_tls, serving
from tests.fixtures.notifying import (
    KEY,
    PATH,
    RECONNECTED,
    SECRET,
    failure,
    notification,
    opened,
    webhook_to,
)


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


async def test_a_receiver_where_nothing_private_may_be_reached_is_not_told(http_server: FaultServer) -> None:
    client = GuardedClient(EgressPolicy())
    failed = await failure(WebhookNotifier(client, http_server.url + PATH, KEY))
    await client.aclose()
    assert "closed by the egress policy" in failed
    assert http_server.connections == 0
