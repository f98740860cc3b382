"""A notification as an e-mail: what a person reads, and what no name can do to it."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from definitions.notification import Notification, NotificationKind
from runtime.notification_mail import as_email, one_line

SENT = datetime(2026, 11, 25, 18, 30, tzinfo=UTC)
FACTS = {
    "id": "n-17",
    "kind": "needs_reconnect",
    "account": "crm-main",
    "integration": "salesforce",
    "cause": "invalid_grant",
    "message": "The grant of account 'crm-main' is dead, and 12 runs wait for it",
    "next_step": "tieline accounts connect crm-main",
    "happened_at": "2026-11-25T19:29:00+01:00",
}


def mail(**changes: Any) -> EmailMessage:
    notification = Notification.model_validate({**FACTS, **changes})
    raw = as_email(notification, "tieline@example.com", ["ops@example.com", "boss@example.com"], SENT)
    parsed = message_from_bytes(raw, policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def text_of(message: EmailMessage) -> str:
    text: str = message.get_content()
    return text.replace("\r\n", "\n")


def test_a_person_reads_what_happened_what_to_do_and_when() -> None:
    assert text_of(mail()) == (
        "The grant of account 'crm-main' is dead, and 12 runs wait for it\n"
        "\n"
        "Next step: tieline accounts connect crm-main\n"
        "\n"
        "Account:      crm-main\n"
        "Integration:  salesforce\n"
        "Cause:        invalid_grant\n"
        "Time:         2026-11-25 18:29:00 UTC\n"
        "Notification: n-17\n"
    )


def test_a_person_reads_how_many_runs_go_on() -> None:
    message = mail(kind="reconnected", cause=None, next_step=None, runs_resumed=0)
    text = text_of(message)
    assert "Runs resumed: 0\n" in text
    assert "Next step" not in text
    assert "Cause" not in text


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({}, "Tieline: account crm-main needs to be connected again"),
        ({"kind": "reconnected"}, "Tieline: account crm-main is connected again"),
        ({"kind": "client_refused"}, "Tieline: the OAuth client of salesforce is refused"),
        ({"kind": "client_refused", "integration": None}, "Tieline: the OAuth client is refused"),
        ({"kind": "refresh_token_ends"}, "Tieline: account crm-main must be connected again soon"),
        ({"kind": "token_set_aside"}, "Tieline: account crm-main was given a refresh token too late"),
        ({"kind": "test", "account": None}, "Tieline: a test: notifications arrive"),
        ({"account": None}, "Tieline: an account needs to be connected again"),
        ({"account": "größe"}, "Tieline: account größe needs to be connected again"),
    ],
)
def test_the_subject_says_it_all(changes: dict[str, Any], subject: str) -> None:
    assert mail(**changes)["Subject"] == subject


def test_a_name_without_end_does_not_fill_the_subject() -> None:
    subject = mail(account="x" * 1000)["Subject"]
    assert subject.startswith("Tieline: account xxx")
    assert len(subject) == 200


def test_the_headers_are_those_of_an_automatic_message() -> None:
    message = mail()
    assert message["From"] == "Tieline <tieline@example.com>"
    assert message["To"] == "ops@example.com, boss@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime == SENT
    assert message.get_content_type() == "text/plain"


def test_a_repeat_is_known_by_its_message_id_and_another_notification_has_another() -> None:
    assert mail()["Message-ID"] == mail(message="told again")["Message-ID"]
    assert mail()["Message-ID"] != mail(id="n-18")["Message-ID"]
    assert mail()["Message-ID"].endswith("@example.com>")


@pytest.mark.parametrize("kind", NotificationKind)
@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\x00"])
def test_a_name_adds_neither_header_nor_line(kind: NotificationKind, line_end: str) -> None:
    name = f"crm{line_end}Bcc: eve@example.com{line_end}{line_end}body"
    message = mail(kind=kind.value, account=name, integration=name, message=name, next_step=name, cause=name)
    assert message.keys() == mail().keys()
    assert "crm Bcc: eve@example.com body\n" in text_of(message)
    assert not any(line.startswith("Bcc") for line in text_of(message).splitlines())


@settings(max_examples=100)
@given(text=st.text(max_size=120))
def test_whatever_the_names_are_the_message_is_well_formed(text: str) -> None:
    message = mail(account=text, integration=text, message=text, next_step=text, cause=text)
    assert message.keys() == mail().keys()
    assert not message.defects
    assert all(not value.defects for value in message.values())
    assert one_line(text) in message.get_content()


@pytest.mark.parametrize("id", ["", "a b", "a.b", "a\r\nb", "ä", "x" * 201])
def test_an_id_that_could_not_travel_in_headers_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        Notification.model_validate({**FACTS, "id": id})
