from pathlib import Path

import pytest

from runtime.settings import Settings, SettingsError, load_settings, unknown_variables


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TIELINE_{name.upper()}", raising=False)


def test_database_and_key_file_stand_in_the_data_folder_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_DATA_DIR", "/srv/tieline")

    settings = load_settings()

    assert settings.database_url == "sqlite+aiosqlite:////srv/tieline/tieline.db"
    assert settings.key_file == Path("/srv/tieline/keys.json")


def test_the_data_folder_does_not_move_with_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = load_settings()
    monkeypatch.chdir("/")

    assert settings.data_dir == tmp_path / ".tieline"
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/.tieline/tieline.db"


def test_allowed_destinations_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_EGRESS_ALLOW", "127.0.0.1:8080, host.internal:8443,")

    assert load_settings().egress_allow == ["127.0.0.1:8080", "host.internal:8443"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIELINE_TEMPORAL_ADDRESS", "temporal.internal"),
        ("TIELINE_METRICS_ADDRESS", "127.0.0.1:99999"),
        ("TIELINE_TEMPORAL_PORT", "0"),
        ("TIELINE_LOG_FORMAT", "yaml-secret"),
        ("TIELINE_GRACE_PERIOD", "-1"),
        ("TIELINE_PROXY", "proxy.internal:3128"),
        ("TIELINE_GATEWAY_PROXIES", "10.0.0.1/8"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=f"^{name}: "):
        load_settings()


def test_secrets_stay_out_of_the_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_KEYS", "k1:hunter2")
    monkeypatch.setenv("TIELINE_DATABASE_URL", "postgresql+asyncpg://tieline:hunter2@db/tieline")
    monkeypatch.setenv("TIELINE_PROXY", "http://me:hunter2@proxy:3128")

    assert "hunter2" not in repr(load_settings())


def test_a_misspelt_variable_is_named_with_the_one_that_was_meant() -> None:
    warnings = unknown_variables({"TIELINE_DATABASE_ULR": "x", "TIELINE_LOG_LEVEL": "info", "HOME": "/"})

    assert warnings == [
        "TIELINE_DATABASE_ULR is not a setting of Tieline and was ignored; did you mean TIELINE_DATABASE_URL?"
    ]


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
