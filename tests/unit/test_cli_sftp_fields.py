"""What the models of SFTP operations have, `tieline sftp` can say: a field without an option is found here."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from pydantic import BaseModel

import cli.sftp
import cli.sftp_transfers
from cli.app import build
from cli.errors import CliError
from cli.sftp_options import sftp_operation
from definitions.asset import Asset
from definitions.sftp import MODELS

LIMITS = "--timeout 1s --stall-after 2s --give-up-after 3s --on-failure park --park-for 4s"
DIGEST = "ab" * 32

TYPED = {
    "sftp.upload": [
        "put bank a.csv in/ --overwrite replace --no-folders --verify size --checksum --marker {name}.done "
        f"--permissions 0640 --modified 2026-03-31 {LIMITS}",
        "put bank --file in/1.csv=a.csv --asset in/2.csv=12345678 --from in/3.csv=crm:export",
        "put bank --from crm:export?day=1 in/ --header Accept=text/csv --name b.csv",
    ],
    "sftp.download": [
        f"get bank out/*.csv --min-age 5m --after move --move-to done/ --max-bytes 9 --media-type text/csv {LIMITS}",
        f"get bank a.csv --sha256 {DIGEST} --to -",
    ],
    "sftp.list": [
        "ls bank out --glob *.csv --recursive --kind file --sort size --reverse --since 2h --min-age 5m --limit 1 "
        f"--cursor abc {LIMITS}",
    ],
    "sftp.stat": [f"stat bank a.csv {LIMITS}"],
    "sftp.exists": [f"exists bank a.csv {LIMITS}"],
    "sftp.mkdir": [f"mkdir bank a --no-parents --permissions 0750 {LIMITS}"],
    "sftp.move": [f"mv bank a b --overwrite replace --no-folders {LIMITS}"],
    "sftp.delete": [f"rm bank a --recursive --missing-ok {LIMITS}"],
    "sftp.copy": [f"cp bank a b --overwrite replace --no-folders {LIMITS}"],
}
"""Commands that together say something else than its default for each field."""


class Built(CliError):
    """Instead of a run, for which a server is needed."""

    def __init__(self, operation: BaseModel) -> None:
        super().__init__("it was built")
        self.operation = operation


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    def build_only(fields: dict[str, Any]) -> None:
        raise Built(sftp_operation(fields))

    for module in (cli.sftp, cli.sftp_transfers):
        monkeypatch.setattr(module, "sftp_operation", build_only)


def operation_of(typed: str) -> BaseModel:
    command = typer.main.get_command(build())
    with pytest.raises(Built) as raised:
        command.main(["sftp", *typed.split()], standalone_mode=False)
    return raised.value.operation


def said(model: BaseModel, place: str = "") -> Iterator[str]:
    """The fields, of models within too, that hold something else than their default."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if name == "type" or value == field.get_default(call_default_factory=True):
            continue
        yield f"{place}{name}"
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, BaseModel) and not isinstance(each, Asset):
                yield from said(each, f"{place}{name}.")


def fields(model: type[BaseModel], place: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name != "type":
            yield f"{place}{name}"
            for each in models_in(field.annotation):
                yield from fields(each, f"{place}{name}.")


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """An asset is named by its hash, and the rest of it is looked up."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation is not Asset:
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from models_in(part)


@pytest.mark.parametrize("operation", MODELS)
def test_each_field_of_an_operation_can_be_typed(operation: str) -> None:
    typed = {field for command in TYPED[operation] for field in said(operation_of(command))}

    assert typed == set(fields(MODELS[operation]))
