"""The settings reference is made from the settings."""

from deploy.settings_page import PAGE, SHARED, page
from runtime.settings import COMMAND_LINE, Settings


def test_the_reference_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m deploy.settings_page >docs/settings.md"


def test_every_setting_stands_in_it_with_what_it_means() -> None:
    told = page()
    assert [name for name in Settings.model_fields if f"`TIELINE_{name.upper()}`" not in told] == []
    assert [name for name in COMMAND_LINE if f"`{name}`" not in told] == []
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_what_is_said_to_be_shared_is_a_setting() -> None:
    assert Settings.model_fields.keys() >= SHARED
