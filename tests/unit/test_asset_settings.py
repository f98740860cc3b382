"""Settings for a bucket: what is accepted, and that no key shows."""

from pathlib import Path

import pytest

from runtime.asset_settings import open_blobs
from runtime.settings import Settings, SettingsError, load_settings

SECRET = "planted-8e21c4"
BUCKET = {
    "assets_url": "s3://files/of/tieline",
    "assets_endpoint": "https://s3.example:9000",
    "assets_region": "eu-central-1",
    "assets_access_key_id": "AKID",
    "assets_secret_access_key": SECRET,
}


def loaded(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(f"TIELINE_{name.upper()}", value)
    return load_settings()


def test_without_a_bucket_assets_lie_in_the_folder(tmp_path: Path) -> None:
    assert open_blobs(Settings(), tmp_path).where == str(tmp_path)


def test_a_bucket_is_named_as_messages_name_it_and_its_key_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = loaded(monkeypatch, BUCKET)
    blobs = open_blobs(settings, tmp_path)

    assert blobs.where == "s3://files/of/tieline at https://s3.example:9000"
    assert SECRET not in repr(settings) + str(settings) + repr(blobs) + str(vars(blobs))


@pytest.mark.parametrize("url", ["s3://abc", "s3://a.b-c1/", "s3://files/a/b_c"])
def test_what_names_a_bucket_is_accepted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert loaded(monkeypatch, {"assets_url": url}).assets_url == url.rstrip("/")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"assets_url": "gs://files"}, "TIELINE_ASSETS_URL: expected s3://BUCKET"),
        ({"assets_url": "s3://"}, "expected s3://BUCKET"),
        ({"assets_url": f"s3://key:{SECRET}@files"}, "without a key in it"),
        ({"assets_url": "s3://files/../x"}, "no part of the prefix may be . or .."),
        ({"assets_endpoint": "s3.example"}, "TIELINE_ASSETS_ENDPOINT: expected the URL of the server"),
        ({"assets_endpoint": f"https://key:{SECRET}@s3.example"}, "without user, path or query"),
        ({"assets_endpoint": f"https://s3.example/?key={SECRET}"}, "without user, path or query"),
        ({"assets_endpoint": "https://s3.example:port"}, "expected the URL of the server"),
        ({"assets_access_key_id": ""}, "belong together: set both"),
        ({"assets_secret_access_key": ""}, "belong together: set both"),
        ({"assets_url": ""}, "TIELINE_ASSETS_ENDPOINT is of no use without TIELINE_ASSETS_URL"),
    ],
)
def test_what_cannot_be_used_is_told_without_its_value(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str], told: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(monkeypatch, {**BUCKET, **change})
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)
