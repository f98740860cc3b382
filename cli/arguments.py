"""What people type, as values: pairs, bodies, times. Each fault names its option and what was expected."""

import base64
import json
import mimetypes
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from cli.errors import CliError, cannot_be_read

if TYPE_CHECKING:
    from pydantic import ValidationError


def pairs(option: str, items: Sequence[str]) -> list[tuple[str, str]]:
    """`NAME=VALUE` arguments, in order; names may repeat."""
    return [_pair(option, item) for item in items]


def parameters(option: str, items: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` arguments of which each name may be given once."""
    found: dict[str, str] = {}
    for name, value in pairs(option, items):
        if name in found:
            raise CliError(f"{option} {name} is given twice")
        found[name] = value
    return found


def split_path(path: str) -> tuple[str, list[tuple[str, str]]]:
    """A path, and the pairs of the query that may stand behind it."""
    bare, _, query = path.partition("?")
    return bare, parse_qsl(query, keep_blank_values=True)


def content(option: str, text: str) -> bytes:
    """The text itself, or what `@FILE` or `@-` (standard input) holds."""
    if not text.startswith("@"):
        return text.encode()
    return read_file(option, text[1:])


def read_file(option: str, path: str) -> bytes:
    """The bytes of a file, or of standard input for `-`."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CliError(f"{option}: {cannot_be_read(path, error)}") from None


def text_content(option: str, text: str) -> str:
    """As `content`, decoded from UTF-8."""
    try:
        return content(option, text).decode()
    except UnicodeDecodeError as error:
        raise CliError(f"{option}: byte {error.start} is not UTF-8; send bytes as they are with --body @FILE") from None


def json_value(option: str, text: str) -> Any:
    """A JSON value, given directly or as `@FILE`."""
    try:
        return json.loads(text_content(option, text), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise CliError(f"{option}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError as error:
        raise CliError(f"{option}: {error}") from None


def refuse_two_of_stdin(items: Sequence[str]) -> None:
    """Standard input can be read once; a second reader would get nothing."""
    if sum(item.endswith("=@-") for item in items) > 1:
        raise CliError("--file: standard input (@-) can be one file only")


def file_part(item: str) -> dict[str, object]:
    """One `NAME=@PATH` as a part of a multipart body."""
    name, path = _pair("--file", item)
    if not path.startswith("@"):
        raise CliError(f"--file {name}: expected NAME=@PATH")
    return {
        "name": name,
        "filename": Path(path[1:]).name,
        "content": base64.b64encode(read_file("--file", path[1:])),
        "media_type": mimetypes.guess_type(path[1:])[0] or "application/octet-stream",
    }


def duration(option: str, text: str) -> timedelta:
    """`90`, `30s`, `5m`, `24h`, `7d`."""
    from pydantic import TypeAdapter, ValidationError

    from definitions.base import Duration
    from definitions.wording import message

    try:
        return TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        raise CliError(f"{option} {text!r}: {message(error.errors()[0])}") from None


def moment(option: str, text: str, now: datetime) -> datetime:
    """A time ago (`1h`), a date or an ISO 8601 instant; without a zone it is this machine's."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        pass
    try:
        return now - duration(option, text)
    except CliError:
        raise CliError(
            f"{option} {text!r}: expected a time ago such as 90m, 1h or 7d, or a date such as 2026-03-31"
        ) from None


def validation_fault(error: "ValidationError", options: dict[str, str]) -> CliError:
    """What a model did not accept, in the words of the command line; `options` names the option of each field."""
    from definitions.wording import message, told_once

    lines = []
    for fault in told_once(error.errors(include_input=False, include_url=False)):
        field = str(fault["loc"][0]) if fault["loc"] else ""
        place = options.get(field, field)  # none where fields do not go together
        lines.append(f"{place}: {message(fault)}" if place else message(fault))
    return CliError("\n".join(dict.fromkeys(lines)))


def _pair(option: str, item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals or not name:
        raise CliError(f"{option} {item!r}: expected NAME=VALUE")
    return name, value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
