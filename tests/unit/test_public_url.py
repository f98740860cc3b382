"""The address that links begin with and that providers send browsers back to."""

from pathlib import Path

import pytest

from auth.public_url import public_url
from runtime.settings import Settings, SettingsError, load_settings


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://tieline.example", "https://tieline.example"),
        ("https://tieline.example/", "https://tieline.example"),
        ("https://Tieline.Example:8443", "https://Tieline.Example:8443"),
        ("http://localhost:8700", "http://localhost:8700"),
        ("http://127.0.0.1:8700/", "http://127.0.0.1:8700"),
        ("http://[::1]:8700", "http://[::1]:8700"),
    ],
)
def test_an_address_is_taken_as_it_is_written(text: str, url: str) -> None:
    assert public_url(text) == url


@pytest.mark.parametrize("text", ["http://tieline.example", "http://192.0.2.7:8700", "http://localhost.example"])
def test_off_loopback_a_code_travels_over_https_only(text: str) -> None:
    with pytest.raises(ValueError, match="must begin with https://"):
        public_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tieline.example",
        "//tieline.example",
        "https://",
        "https://:443",
        "https://tieline.example/app",
        "https://tieline.example//",
        "https://tieline.example?x=1",
        "https://tieline.example#top",
        "https://user@tieline.example",
        "https://user:password@tieline.example",
        "https://tieline.example:port",
        "https://tieline.example:99999",
        "https://[tieline.example",
        "https://tie line.example",
        "https://tieline.example\r\nX: y",
        "https://tiéline.example",
    ],
)
def test_what_is_more_or_less_than_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected scheme, host and port alone"):
        public_url(text)


def test_a_setting_that_cannot_be_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_GATEWAY_URL", "http://tieline.example")
    with pytest.raises(SettingsError, match=r"^TIELINE_GATEWAY_URL: the address that providers send browsers back to"):
        load_settings()


def test_without_a_setting_there_is_none(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).gateway_url is None
