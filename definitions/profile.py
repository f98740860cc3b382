"""A profile: an environment that says which account each adapter uses."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from definitions.base import Model

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


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


class Profile(Model):
    """`adapters: {crm: crm-main}` binds the adapter `crm` to the connected account `crm-main`."""

    kind: Literal["profile"]
    name: Name
    adapters: dict[Name, Annotated[Binding, BeforeValidator(_as_binding)]] = {}
    variables: dict[str, str] = {}
