"""Who tells people, without having been asked: the log, a signed webhook, e-mail. When, and how often, is not decided
here: each tells one notification once, or says why it could not."""

import base64
import contextlib
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import parse_qsl

from definitions.notification import Notification, NotificationKind
from net.client import GuardedClient
from net.egress import AllowRule, EgressPolicy
from net.errors import NetError, Sent
from net.mail import Code, Mailer, MailError
from net.messages import OutboundRequest
from net.redaction import LIVE_SECRETS
from net.targets import parse_target
from runtime.notification_mail import as_email, one_line
from runtime.notify_settings import SECRET_PREFIX, exactly, mail_server, webhook_key, webhook_target
from runtime.settings import Settings

log = logging.getLogger(__name__)

WEBHOOK_DEADLINE = 15.0
MAX_ANSWER = 64 * 1024
LONG_PART = 20

_LOUD = (
    NotificationKind.NEEDS_RECONNECT,
    NotificationKind.CLIENT_REFUSED,
    NotificationKind.REFRESH_TOKEN_ENDS,
    NotificationKind.TOKEN_SET_ASIDE,
)
_WEBHOOK_AWAY = "see that it runs, and that TIELINE_NOTIFY_WEBHOOK_URL is right"
_WEBHOOK_TLS = (
    "name it in TIELINE_NOTIFY_WEBHOOK_URL as its certificate does; SSL_CERT_FILE names authorities of your own"
)
_MAIL_STEPS: dict[Code, str] = {
    "unreachable": "see that it runs, and that host, port and scheme of TIELINE_SMTP_URL are right",
    "tls_failed": "name it in TIELINE_SMTP_URL as its certificate does; SSL_CERT_FILE names authorities of your own",
    "no_starttls": "use smtps:// where it speaks TLS from the start, smtp+plain:// where no TLS is meant",
    "login_refused": "correct the user in TIELINE_SMTP_URL and TIELINE_SMTP_PASSWORD",
    "sender_refused": "use an address in TIELINE_NOTIFY_EMAIL_FROM that the server accepts from this user",
    "mail_refused": "see what it says, and correct TIELINE_NOTIFY_EMAIL_TO or TIELINE_SMTP_URL",
}


class NotifierFailed(Exception):
    """A notification was not told. The text names notifier, host, fault and next step, and holds nothing secret."""

    def __init__(self, notifier: str, fault: str, next_step: str) -> None:
        super().__init__(LIVE_SECRETS.scrub(f"notifier {notifier}: {fault}; next step: {next_step}"))


class Notifier(Protocol):
    """One way of telling people."""

    name: str

    async def tell(self, notification: Notification) -> None:
        """Tell it once.

        Raises:
            NotifierFailed: it was not told, or nobody knows whether it was.
        """


class LogNotifier:
    """One line in this process's log."""

    name = "log"

    async def tell(self, notification: Notification) -> None:
        """Log it, as a warning where somebody must act."""
        step = f": {one_line(notification.next_step)}" if notification.next_step else ""
        fields = {"account": notification.account, "kind": notification.kind.value, "cause": notification.cause}
        level = logging.WARNING if notification.kind in _LOUD else logging.INFO
        log.log(level, "%s%s", one_line(notification.message), step, extra=fields)


class WebhookNotifier:
    """A POST of the notification as JSON, signed by the rules of Standard Webhooks 1.0."""

    name = "webhook"

    def __init__(
        self,
        http: GuardedClient,
        url: str,
        key: bytes,
        *,
        deadline: float = WEBHOOK_DEADLINE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._url = url
        self._target = parse_target(url)
        self._key = key
        self._deadline = deadline
        self._clock = clock

    async def tell(self, notification: Notification) -> None:
        """Send it; any 2xx means that it has arrived."""
        status = await self._status(self._request(_clean(notification)))
        if 300 <= status < 400:
            step = "redirects are not followed: set TIELINE_NOTIFY_WEBHOOK_URL to where it leads"
            raise NotifierFailed(self.name, f"{self._target} answered {status}", step)
        if not 200 <= status < 300:
            step = (
                "see what its receiver says; it must answer 2xx, and be the one that TIELINE_NOTIFY_WEBHOOK_URL means"
            )
            raise NotifierFailed(self.name, f"{self._target} answered {status}", step)

    async def _status(self, request: OutboundRequest) -> int:
        try:
            return (await self._http.send(request)).status
        except NetError as error:
            if error.sent is Sent.ANSWERED and error.status is not None:
                return error.status  # only its body was of no use, and nobody wants that
            step = _WEBHOOK_TLS if error.code == "tls_failed" else _WEBHOOK_AWAY
            raise NotifierFailed(self.name, str(error), step) from None

    def _request(self, notification: Notification) -> OutboundRequest:
        body = notification.model_dump_json().encode()
        timestamp = int(self._clock())
        headers = (
            ("Content-Type", "application/json"),
            ("webhook-id", notification.id),
            ("webhook-timestamp", str(timestamp)),
            ("webhook-signature", signature(self._key, notification.id, timestamp, body)),
        )
        return OutboundRequest(
            "POST",
            self._url,
            headers=headers,
            content=body,
            deadline=self._deadline,
            max_bytes=MAX_ANSWER,
            follow_redirects=False,
            ports=frozenset({self._target.port}),
        )


class EmailNotifier:
    """An e-mail to people."""

    name = "email"

    def __init__(
        self,
        mailer: Mailer,
        sender: str,
        recipients: Sequence[str],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._mailer = mailer
        self._sender = sender
        self._recipients = recipients
        self._now = now

    async def tell(self, notification: Notification) -> None:
        """Hand it in at the mail server. Told, once the server has taken it for one recipient at least: whoever it
        refuses is logged, because the others would get each repetition."""
        message = as_email(_clean(notification), self._sender, self._recipients, self._now())
        try:
            refused = await self._mailer.send(self._sender, self._recipients, message)
        except MailError as error:
            raise NotifierFailed(self.name, str(error), _MAIL_STEPS[error.code]) from None
        for each in refused:
            log.warning("notifier email: %s refused %s; correct TIELINE_NOTIFY_EMAIL_TO", self._mailer.server, each)


@contextlib.asynccontextmanager
async def open_notifiers(settings: Settings) -> AsyncIterator[Sequence[Notifier]]:
    """The log always; webhook and e-mail where they are configured. Open for as long as the body runs."""
    async with contextlib.AsyncExitStack() as stack:
        found: list[Notifier] = [LogNotifier()]
        if settings.notify_webhook_url and settings.notify_webhook_secret:
            found.append(await stack.enter_async_context(_webhook(settings, settings.notify_webhook_url)))
        server = mail_server(settings)
        if server is not None and settings.notify_email_from:
            LIVE_SECRETS.add(server.password or "")
            mailer = Mailer(server, egress_policy(settings, server.host, server.port))
            stack.callback(mailer.close)
            found.append(EmailNotifier(mailer, settings.notify_email_from, settings.notify_email_to))
        yield found


def destinations(settings: Settings) -> dict[str, str]:
    """By the name of each notifier that is configured, where it tells people; safe to show."""
    found = {"log": "the log"}
    target, server = webhook_target(settings), mail_server(settings)
    if target is not None:
        found["webhook"] = str(target)
    if server is not None:
        found["email"] = f"{', '.join(settings.notify_email_to)} by {server}"
    return found


def egress_policy(settings: Settings, host: str, port: int) -> EgressPolicy:
    """What was configured may be reached, exactly; the operator's rules say where else its name may lead."""
    return EgressPolicy([exactly(host, port), *map(AllowRule.parse, settings.egress_allow)])


def signature(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature` (Standard Webhooks 1.0, symmetric)."""
    signed = f"{id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"


@contextlib.asynccontextmanager
async def _webhook(settings: Settings, url: str) -> AsyncIterator[WebhookNotifier]:
    secret, target = settings.notify_webhook_secret, parse_target(url)
    assert secret is not None, "the settings are whole"
    text = secret.get_secret_value()
    for each in (text, text.removeprefix(SECRET_PREFIX), url, *_secrets_of(target.path)):
        LIVE_SECRETS.add(each)
    http = GuardedClient(egress_policy(settings, target.host, target.port), proxy=settings.proxy)
    try:
        yield WebhookNotifier(http, url, webhook_key(secret))
    finally:
        await http.aclose()


def _secrets_of(path: str) -> list[str]:
    """What may be a secret in a URL: the parts that are too long for words. To mask words would spoil every log."""
    path, _, query = path.partition("?")
    parts = [*path.split("/"), *(value for _, value in parse_qsl(query))]
    return [part for part in parts if len(part) >= LONG_PART]


def _clean(notification: Notification) -> Notification:
    """Without any secret that this process knows: it goes out of the house, and its words may come from outside."""
    texts = {name: getattr(notification, name) for name in ("message", "next_step", "cause")}
    return notification.model_copy(update={name: LIVE_SECRETS.scrub(text) for name, text in texts.items() if text})
