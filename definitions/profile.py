"""A profile: an environment that says which account each adapter uses."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from definitions.base import KEY_PATTERN, Model

Name = Annotated[str, Field(pattern=KEY_PATTERN)]


class Binding(Model):
    """One account for all, or one for each subject (the app's own end user)."""

    account: str | None = None
    per_subject: bool = False

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "Binding":
        if (self.account is None) is not self.per_subject:
            raise ValueError("a binding names an account, or says per_subject: true")
        return self


def _as_binding(value: Any) -> Any:
    return {"account": value} if isinstance(value, str) else value


class _BindingSchema:
    """What editors accept: the short form too."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(core)]}


class Profile(Model):
    """`adapters: {crm: crm-main}` binds the adapter `crm` to the connected account `crm-main`."""

    kind: Literal["profile"]
    name: Name
    adapters: dict[Name, Annotated[Binding, BeforeValidator(_as_binding), _BindingSchema]] = {}
    variables: dict[str, str] = {}
