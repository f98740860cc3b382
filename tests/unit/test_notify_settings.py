"""The settings for telling people: whole, or refused with the names of the variables and none of the values."""

import base64
from pathlib import Path

import pytest

from runtime.notifiers import destinations
from runtime.settings import Settings, SettingsError, load_settings

URL, SECRET = "https://hooks.example/tieline?key=hunter2", "whsec_" + base64.b64encode(b"k" * 32).decode()
WEBHOOK = {"NOTIFY_WEBHOOK_URL": URL, "NOTIFY_WEBHOOK_SECRET": SECRET}
EMAIL = {
    "NOTIFY_EMAIL_TO": "ops@example.com, boss@example.com",
    "NOTIFY_EMAIL_FROM": "tieline@example.com",
    "SMTP_URL": "smtps://me@mail.example",
    "SMTP_PASSWORD": "hunter2",
}
BOTH = "TIELINE_NOTIFY_WEBHOOK_URL and TIELINE_NOTIFY_WEBHOOK_SECRET belong together: set both"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TIELINE_{name.upper()}", raising=False)


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"TIELINE_{name}", value)
    return load_settings()


def test_without_any_only_the_log_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert destinations(loaded(monkeypatch)) == {"log": "the log"}


def test_with_all_of_them_everybody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert destinations(loaded(monkeypatch, **WEBHOOK, **EMAIL)) == {
        "log": "the log",
        "webhook": "https://hooks.example",
        "email": "ops@example.com, boss@example.com by smtps://mail.example:465",
    }


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"NOTIFY_WEBHOOK_URL": URL}, BOTH),
        ({"NOTIFY_WEBHOOK_SECRET": SECRET}, BOTH),
        ({"NOTIFY_EMAIL_TO": "a@b"}, "e-mail is half configured: set TIELINE_NOTIFY_EMAIL_FROM, TIELINE_SMTP_URL, too"),
        (
            {"SMTP_PASSWORD": "hunter2"},
            "e-mail is half configured: set TIELINE_NOTIFY_EMAIL_TO, TIELINE_NOTIFY_EMAIL_FROM, TIELINE_SMTP_URL, too",
        ),
        (EMAIL | {"NOTIFY_EMAIL_FROM": ""}, "e-mail is half configured: set TIELINE_NOTIFY_EMAIL_FROM, too"),
        (
            EMAIL | {"SMTP_PASSWORD": ""},
            "TIELINE_SMTP_URL (with TIELINE_SMTP_PASSWORD): a user and a password belong together",
        ),
        (
            EMAIL | {"SMTP_URL": "smtp://224.0.0.1", "SMTP_PASSWORD": ""},
            "TIELINE_SMTP_URL (with TIELINE_SMTP_PASSWORD): "
            "egress rule '224.0.0.1:587': no rule can allow it (multicast)",
        ),
        (
            WEBHOOK | {"NOTIFY_WEBHOOK_URL": "https://me:hunter2@hooks.example"},
            "TIELINE_NOTIFY_WEBHOOK_URL: the URL must not hold a user name or password",
        ),
        (
            WEBHOOK | {"NOTIFY_WEBHOOK_URL": "hooks.example/hunter2"},
            "TIELINE_NOTIFY_WEBHOOK_URL: the URL must be absolute and start with http:// or https://",
        ),
        (
            EMAIL | {"NOTIFY_EMAIL_TO": "ops@example.com, hunter2"},
            "TIELINE_NOTIFY_EMAIL_TO: expected addresses such as ops@example.com, without a name or brackets",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_what_is_of_no_use_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(monkeypatch, **variables)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2",
        base64.b64encode(b"k" * 32).decode(),
        "whsec_" + base64.b64encode(b"k" * 23).decode(),
        "whsec_" + base64.b64encode(b"k" * 65).decode(),
        "whsec_!" + base64.b64encode(b"k" * 32).decode(),
        "whsec_ключ",
        "whsec_",
    ],
)
def test_a_secret_that_signs_badly_is_refused_with_the_way_to_a_good_one(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(monkeypatch, **WEBHOOK | {"NOTIFY_WEBHOOK_SECRET": secret})
    assert str(refused.value) == (
        "TIELINE_NOTIFY_WEBHOOK_SECRET: expected whsec_ and 24 to 64 bytes in base64: "
        "echo whsec_$(openssl rand -base64 32)"
    )


def test_secrets_stay_out_of_the_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(
        monkeypatch, **WEBHOOK, **EMAIL | {"SMTP_URL": "smtps://me:hunter3@mail.example", "SMTP_PASSWORD": ""}
    )
    shown = repr(settings)
    assert "hunter" not in shown
    assert SECRET not in shown
