"""Where a secret goes on each request."""

from enum import StrEnum

from pydantic import Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from definitions.base import Model
from definitions.fields import TemplateText, check_header_name, check_identifier


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

    @field_validator("name")
    @classmethod
    def _fits(cls, name: str, info: ValidationInfo) -> str:
        match info.data.get("in_"):
            case Place.HEADER | Place.COOKIE:
                return check_header_name(name)
            case Place.PATH:
                return check_identifier(name)
        return name
