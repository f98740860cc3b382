"""E-mail to people by a real mail server."""

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.mail import mail_host
from tests.fixtures.notifying import email_to, failure, notification, opened


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
