"""The settings reference, from the settings themselves: `python -m deploy.settings_page >docs/settings.md`."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from runtime.settings import COMMAND_LINE, PREFIX, Settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

HEAD = """\
# Settings

Environment variables, read once when a process starts. An empty one counts as not set; one that no setting reads is
warned of when a process starts, and by `tieline doctor`. `python -m deploy.settings_page >docs/settings.md` makes this
page from `runtime/settings.py`, and a test compares the two.

Every process of an installation needs the same values of those marked *shared*: workers, gateways and commands.
"""

SHARED = frozenset(
    {
        *("data_dir", "database_url", "key_file", "keys"),
        *("temporal_address", "temporal_namespace", "task_queue"),
        *("egress_allow", "proxy"),
        *("assets_url", "assets_endpoint", "assets_region", "assets_access_key_id", "assets_secret_access_key"),
        "asset_retention",
    }
)
"""What makes processes one installation."""

COMMANDS = {
    "TIELINE_PROFILE": "The profile of a command that is given no `--profile`.",
    "TIELINE_DEBUG": "Anything but 0: a command that ends with an error shows where, too.",
}

TAIL = """\

## Of the command line alone

| variable | meaning |
|---|---|
"""


def page() -> str:
    """The whole page."""
    assert COMMANDS.keys() == COMMAND_LINE, "each is told"
    rows = [_row(name, field) for name, field in Settings.model_fields.items()]
    table = "\n".join(["\n| variable | default | meaning |", "|---|---|---|", *rows]) + "\n"
    return HEAD + table + TAIL + "".join(f"| `{name}` | {text} |\n" for name, text in COMMANDS.items())


def _row(name: str, field: FieldInfo) -> str:
    meaning = " ".join(_meaning(name, field))
    return f"| `{PREFIX}{name.upper()}` | {_default(field)} | {meaning} |"


def _meaning(name: str, field: FieldInfo) -> Iterator[str]:
    yield (field.description or "").replace("|", r"\|")
    if get_origin(field.annotation) is Literal:
        yield f"One of {', '.join(f'`{choice}`' for choice in get_args(field.annotation))}."
    if name in SHARED:
        yield "*Shared.*"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if field.default_factory is not None or value in (None, []):
        return ""
    if isinstance(value, timedelta):
        return f"`{value.days}d`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(page())
