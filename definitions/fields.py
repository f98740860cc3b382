"""Field types that several documents share."""

from typing import Annotated

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field

from definitions.base import Model
from definitions.templates import Template, TemplateError


def _template(text: str) -> str:
    try:
        Template.parse(text)
    except TemplateError as error:
        raise ValueError(str(error)) from None
    return text


def _expression(text: str) -> str:
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(f"not a JMESPath expression: {str(error).splitlines()[0]}") from None
    return text


TemplateText = Annotated[str, AfterValidator(_template), Field(description="Text with {placeholders}")]
Expression = Annotated[str, AfterValidator(_expression), Field(description="A JMESPath expression")]


class SecretField(Model):
    """What the vault holds for one name; the value never stands in a file."""

    label: str | None = None
    optional: bool = False
    identifier: bool = False
    """Names somebody and proves nothing, like a user name: encrypted too, but not masked where a provider shows it."""
