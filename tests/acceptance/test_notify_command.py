"""`tieline notify test` as it is typed, at a real receiver and a real mail server; and what the doctor says of both."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.fixtures.commandline import Tieline
from tests.fixtures.http import FaultServer
from tests.fixtures.mail import MailHost, mail_host

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
MESSAGE = "Somebody tried whether notifications arrive: this one did"


@pytest.fixture
def tieline(tmp_path: Path) -> Tieline:
    """Commands for a folder that nobody has used."""
    return Tieline(tmp_path / "data", {"TIELINE_DATA_DIR": str(tmp_path / "data")})


def webhook_to(server: FaultServer) -> dict[str, Any]:
    return {"notify_webhook_url": f"{server.url}/hook?key=hunter2", "notify_webhook_secret": SECRET}


def email_to(host: MailHost) -> dict[str, Any]:
    return {
        "notify_email_to": "ops@example.com",
        "notify_email_from": "tieline@example.com",
        "smtp_url": f"smtp+plain://ops@localhost:{host.port}",
        "smtp_password": "hunter2",
    }


async def test_everybody_who_is_configured_is_told(tieline: Tieline, http_server: FaultServer) -> None:
    http_server.reply("/hook", 202)
    async with mail_host(users={"ops": "hunter2"}) as host:
        ran = await tieline.process("notify", "test", **webhook_to(http_server), **email_to(host))
        assert ran.status == 0, ran
        assert [line.split(maxsplit=2) for line in ran.output.splitlines()[1:]] == [
            ["ok", "log", "told the log"],
            ["ok", "webhook", f"told {http_server.url}"],
            ["ok", "email", f"told ops@example.com by smtp+plain://localhost:{host.port}"],
        ]
    [request], [taken] = http_server.received, host.taken
    assert Webhook(SECRET).verify(request.body, dict(request.headers))["message"] == MESSAGE
    assert taken.message["Subject"] == "Tieline: a test: notifications arrive"
    assert f"INFO    runtime.notifiers  {MESSAGE}  kind=test\n" in ran.errors
    assert "hunter2" not in ran.output + ran.errors


async def test_one_that_fails_is_named_and_the_others_are_told(tieline: Tieline, http_server: FaultServer) -> None:
    http_server.reply("/hook", 500)
    async with mail_host(users={"ops": "hunter2"}) as host:
        settings = {**webhook_to(http_server), **email_to(host)}
        people = await tieline("notify", "test", **settings)
        programs = await tieline("notify", "test", "--output", "json", **settings)
    assert people.status == programs.status == 1
    assert f"failed  webhook   notifier webhook: {http_server.url} answered 500; next step: " in people.output
    assert [(each["notifier"], each["told"]) for each in json.loads(programs.output)] == [
        ("log", True),
        ("webhook", False),
        ("email", True),
    ]
    assert len(host.taken) == 2


async def test_where_nobody_is_configured_the_way_to_it_is_told(tieline: Tieline) -> None:
    ran = await tieline("notify", "test")
    assert ran.status == 0
    assert "ok  log       told the log\n" in ran.output
    assert "to have people told, set TIELINE_NOTIFY_WEBHOOK_URL or TIELINE_NOTIFY_EMAIL_TO" in ran.errors
    assert not tieline.folder.exists()


async def test_settings_that_are_half_made_are_refused(tieline: Tieline) -> None:
    ran = await tieline("notify", "test", notify_webhook_url="https://hooks.example/hunter2")
    assert ran.status == 2
    assert ran.errors == (
        "error: TIELINE_NOTIFY_WEBHOOK_URL and TIELINE_NOTIFY_WEBHOOK_SECRET belong together: set both\n"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "log only; TIELINE_NOTIFY_WEBHOOK_URL or TIELINE_NOTIFY_EMAIL_TO add people"),
        (
            {"notify_webhook_url": "https://hooks.example/hunter2", "notify_webhook_secret": SECRET},
            "log, webhook (https://hooks.example); tieline notify test tries them",
        ),
        (
            {"notify_email_to": "a@x, b@x", "notify_email_from": "t@x", "smtp_url": "smtps://mail"},
            "log, email (a@x, b@x by smtps://mail:465); tieline notify test tries them",
        ),
    ],
    ids=["none", "webhook", "email"],
)
async def test_the_doctor_tells_who_is_told(tieline: Tieline, settings: dict[str, Any], message: str) -> None:
    found = json.loads((await tieline("doctor", "-o", "json", **settings)).output)
    assert [each for each in found if each["subject"] == "notifications"] == [
        {"subject": "notifications", "state": "ok", "message": message, "suggested_action": None}
    ]
