"""Operations as the HTTP API takes them: each with the adapter that it goes through."""

import functools
import operator
from typing import Annotated, Any, cast

from pydantic import Discriminator, Field, Tag, TypeAdapter, create_model

from definitions.base import Model
from definitions.operation import HttpOperation
from definitions.run import AnyOperation
from definitions.sftp import MODELS, SftpOperation


class ThroughAdapter(Model):
    """What every operation has besides."""

    adapter: str = Field(min_length=1, description="The adapter, as the profile names it")


class HttpThroughAdapter(HttpOperation, ThroughAdapter):
    """One HTTP request through an adapter."""


_SFTP = TypeAdapter[SftpOperation](SftpOperation)


def _through_adapter(model: type[Model]) -> type[ThroughAdapter]:
    bases = (cast(type[ThroughAdapter], model), ThroughAdapter)
    return create_model(f"{model.__name__}ThroughAdapter", __base__=bases, __doc__=model.__doc__)


_SFTP_THROUGH_ADAPTER = tuple(map(_through_adapter, MODELS.values()))
_AnySftp: Any = functools.reduce(operator.or_, _SFTP_THROUGH_ADAPTER)

HTTP, SFTP = "http-operation", "sftp-operation"
OPERATIONS: tuple[type[Model], ...] = (HttpThroughAdapter, *_SFTP_THROUGH_ADAPTER)
"""All that an operation can be."""


def _kind(value: Any) -> str:
    """HTTP is what an operation is that does not say."""
    kind = value.get("type", "http") if isinstance(value, dict) else getattr(value, "type", "http")
    return SFTP if str(kind).startswith("sftp") else HTTP


OperationThroughAdapter = Annotated[
    Annotated[HttpThroughAdapter, Tag(HTTP)] | Annotated[_AnySftp, Field(discriminator="type"), Tag(SFTP)],
    Discriminator(_kind),
]


def plain(operation: ThroughAdapter) -> AnyOperation:
    """The operation alone; it was checked as part of this one."""
    if isinstance(operation, HttpThroughAdapter):
        return HttpOperation.model_construct(**{name: getattr(operation, name) for name in HttpOperation.model_fields})
    return _SFTP.validate_python(operation.model_dump(exclude={"adapter"}))
