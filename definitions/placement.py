"""Where a secret goes on each request."""

from enum import StrEnum

from pydantic import Field

from definitions.base import Model
from definitions.fields import TemplateText


class Place(StrEnum):
    """The parts of a request that can carry a credential."""

    HEADER = "header"
    URL_PARAMETER = "url_parameter"
    BODY = "body"
    PATH = "path"
    COOKIE = "cookie"


class Placement(Model):
    """One placement: `{in: header, name: Authorization, value: "Bearer {token}"}`."""

    in_: Place = Field(alias="in")
    name: str = Field(min_length=1, description="Header, parameter, field or cookie; for `path` the {name} replaced")
    value: TemplateText
