"""Paths on somebody else's server that stay below a root, whatever fills their placeholders."""

import posixpath
import re
from collections.abc import Mapping

from definitions.asset import MAX_NAME_BYTES
from definitions.templates import BUILT_IN, Template, TemplateError

MAX_PATH_BYTES = 4096

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RemotePathError(ValueError):
    """A path cannot be used; the text names the fault, not a value that filled it."""


def check_remote_path(path: str) -> str:
    """Raises ValueError unless the template can be a path."""
    try:
        parsed = Template.parse(path)
    except TemplateError as error:
        raise ValueError(str(error)) from None
    for part in parsed.parts:
        if isinstance(part, str):
            _check_text(part, "the path")
        elif part.head.name in BUILT_IN:
            raise ValueError(f"{{{part.head.name}}} differs between attempts: give the path its value")
    skeleton = "".join(part if isinstance(part, str) else "x" for part in parsed.parts)
    _check_parts(skeleton, "the path")
    return path


def render_remote_path(template: str, values: Mapping[str, str], root: str = "") -> str:
    """Fill a path's placeholders and put it below the root; `/` at its end, which names a folder, is kept.

    Raises:
        RemotePathError: it would leave the root, or holds what no path can.
        TemplateError: a placeholder without value.
    """
    text = "".join(
        part if isinstance(part, str) else _value(part.head.name, part.fill(values))
        for part in Template.parse(template).parts
    )
    _check_parts(text, "the path")
    relative = posixpath.normpath(text.lstrip("/") or ".")
    whole = posixpath.join(root, relative) if root else relative
    if len(whole.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        raise RemotePathError(f"the path has more than {MAX_PATH_BYTES} bytes")
    if any(len(part.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES for part in whole.split("/")):
        raise RemotePathError(f"a name in the path has more than {MAX_NAME_BYTES} bytes")
    folder = "/" if text.endswith("/") and not whole.endswith("/") else ""
    return posixpath.normpath(whole) + folder


def is_below(path: str, root: str) -> bool:
    """Whether a path that a server resolved is the root, or below it."""
    root = root.rstrip("/")
    return path == root or path.startswith(f"{root}/") or root == ""


def _value(name: str, value: str) -> str:
    """One value is one part of a path at most."""
    _check_text(value, f"the value of {{{name}}}")
    if "/" in value or value in ("", ".", ".."):
        raise RemotePathError(f"the value of {{{name}}} may not be empty, a path, . or ..")
    return value


def _check_text(text: str, what: str) -> None:
    if _CONTROL.search(text):
        raise RemotePathError(f"{what} may not hold a line break, NUL or another control character")
    if "\\" in text:
        raise RemotePathError(
            f"{what} may not hold a backslash: to some servers it parts folders, and could lead elsewhere"
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise RemotePathError(f"{what} is not text (UTF-8)")


def _check_parts(text: str, what: str) -> None:
    if not text:
        raise RemotePathError(f"{what} is empty: . is the root folder")
    if ".." in text.split("/"):
        raise RemotePathError(f"{what} may not hold .. as a part: it would leave the root folder")
    if text.startswith("~"):
        raise RemotePathError(f"{what} may not begin with ~: it is below the account's root folder")
