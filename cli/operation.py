"""From the options of `tieline call` to one operation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.arguments import (
    content,
    file_part,
    json_value,
    pairs,
    refuse_two_of_stdin,
    split_path,
    text_content,
    validation_fault,
)
from cli.errors import CliError

if TYPE_CHECKING:
    from definitions.asset import Asset
    from definitions.operation import HttpOperation

_NO_ASSET = {"sha256": "0" * 64, "size": 0}
"""In place of the one that is not looked up yet."""

_OPTIONS = {
    "method": "METHOD",
    "path": "PATH",
    "query": "--query",
    "headers": "--header",
    "body": "body",
    "success": "--success",
    "extract": "--extract",
    "answer": "--answer",
    "max_bytes": "--max-bytes",
    "max_asset_bytes": "--max-asset-bytes",
    "timeout": "--timeout",
    "stall_after": "--stall-after",
    "transfer_timeout": "--transfer-timeout",
    "give_up_after": "--give-up-after",
    "on_failure": "--on-failure",
}


@dataclass(frozen=True, slots=True)
class BodyOptions:
    """At most one kind of body; `form` and `file` together make a multipart one."""

    json: str | None = None
    form: tuple[str, ...] = ()
    file: tuple[str, ...] = ()
    text: str | None = None
    body: str | None = None
    media_type: str | None = None
    asset: str | None = None
    sftp: str | None = None


def build_operation(
    method: str, path: str, query: list[str], headers: list[str], body: BodyOptions, **others: Any
) -> "HttpOperation":
    """The operation; options that were left out (None) keep the model's defaults.

    Raises:
        CliError: with a line for each fault, naming its option.
    """
    from pydantic import ValidationError

    from definitions.operation import HttpOperation

    bare, from_path = split_path(path)
    fields = {
        "method": method,
        "path": bare,
        "query": from_path + pairs("--query", query),
        "headers": pairs("--header", headers),
        "body": _body(body),
    }
    fields.update({name: value for name, value in others.items() if value not in (None, [], ())})
    try:
        return HttpOperation.model_validate(fields)
    except ValidationError as error:
        raise validation_fault(error, _OPTIONS) from None


def _body(options: BodyOptions) -> dict[str, Any] | None:
    kind = _kind(options)
    if options.media_type is not None and kind not in ("--text", "--body", "--asset", "--sftp"):
        raise CliError("--media-type belongs to --text, --body, --asset or --sftp; other bodies have their own")
    media_type = {} if options.media_type is None else {"media_type": options.media_type}
    match kind:
        case "--json":
            return {"type": "json", "value": json_value("--json", options.json or "")}
        case "--text":
            return {"type": "text", "text": text_content("--text", options.text or ""), **media_type}
        case "--body":
            return {"type": "raw", "content": _base64(content("--body", options.body or "")), **media_type}
        case "--asset":
            return {"type": "asset", "asset": _NO_ASSET, **media_type}
        case "--sftp":
            return {"type": "sftp", **_remote(options.sftp or ""), **media_type}
        case "--form/--file":
            return _form(options)
        case _:
            return None


def _kind(options: BodyOptions) -> str | None:
    given = {
        "--json": options.json is not None,
        "--text": options.text is not None,
        "--body": options.body is not None,
        "--asset": options.asset is not None,
        "--sftp": options.sftp is not None,
        "--form/--file": bool(options.form or options.file),
    }
    kinds = [kind for kind, is_given in given.items() if is_given]
    if len(kinds) > 1:
        raise CliError(f"a call has one body: choose one of {', '.join(kinds)}")
    return kinds[0] if kinds else None


def _form(options: BodyOptions) -> dict[str, Any]:
    fields = pairs("--form", options.form)
    if not options.file:
        return {"type": "form", "fields": fields}
    refuse_two_of_stdin(options.file)
    return {"type": "multipart", "fields": fields, "files": [file_part(item) for item in options.file]}


def _remote(text: str) -> dict[str, str]:
    adapter, colon, path = text.partition(":")
    if not colon:
        raise CliError("--sftp: expected ADAPTER:PATH, such as bank:outbox/orders.csv")
    return {"adapter": adapter, "path": path}


def with_asset(operation: "HttpOperation", asset: "Asset") -> "HttpOperation":
    """The operation whose body is this asset."""
    from definitions.operation import AssetBody

    assert isinstance(operation.body, AssetBody), "it was built with --asset"
    return operation.model_copy(update={"body": operation.body.model_copy(update={"asset": asset})})


def _base64(data: bytes) -> bytes:
    from base64 import b64encode

    return b64encode(data)
