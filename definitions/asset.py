"""A file by reference: what travels through runs and histories in its place."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from definitions.base import Model
from definitions.fields import MediaType

MAX_NAME_BYTES = 255

_UNFIT = re.compile(r"[\x00-\x1f\x7f/\\]")


def check_file_name(name: str) -> str:
    """Raises ValueError unless it can be the name of a file, and of nothing else, on every system."""
    if not name or name in (".", ".."):
        raise ValueError("expected the name of a file")
    if _UNFIT.search(name):
        raise ValueError("the name of a file holds no slash, backslash or control character")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError("the name of a file is text (UTF-8)") from None
    if length > MAX_NAME_BYTES:
        raise ValueError(f"the name of a file has {MAX_NAME_BYTES} bytes at most")
    return name


FileName = Annotated[str, AfterValidator(check_file_name)]


class Asset(Model):
    """Its content is found by `sha256`; name and media type are what was said of it here, and may differ elsewhere."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the content, hexadecimal")
    size: int = Field(ge=0, description="Bytes")
    name: FileName = "asset"
    media_type: MediaType = "application/octet-stream"
