"""Where secrets come from: a hidden prompt, an environment variable, a file or standard input. Never an argument.

Nothing here repeats a value, nor a piece of an argument that could be one.
"""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CliError, cannot_be_read

if TYPE_CHECKING:
    from definitions.fields import SecretField

SecretsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--secret",
        metavar="FIELD=SOURCE",
        help="A secret and where it is read from: FIELD=env:VARIABLE, FIELD=file:PATH, or FIELD=- for standard input. "
        "Fields that are left out are asked for.",
    ),
]

SOURCES = "env:VARIABLE, file:PATH or - (standard input)"

Prompt = Callable[[str], str]


def read_secrets(arguments: Sequence[str] | None, fields: Collection[str], owner: str) -> dict[str, str]:
    """The values of `FIELD=SOURCE` arguments; `owner` names whose fields they are, for messages.

    Raises:
        CliError: an unknown field, a field or standard input named twice, a plain value, a source that cannot be read.
    """
    arguments = arguments or ()
    if sum(argument.endswith("=-") for argument in arguments) > 1:
        raise CliError("standard input can give one secret only: use env: or file: for the others")
    values: dict[str, str] = {}
    for number, argument in enumerate(arguments, 1):
        field, source = _split(argument, number, fields, owner)
        if field in values:
            raise CliError(f"--secret {field} is given twice")
        values[field] = _read(field, source)
    _remember(values.values())
    return values


def ask_for(fields: Sequence[str], owner: str, prompt: Prompt | None = None) -> dict[str, str]:
    """Ask for secrets, hidden, when a person is at the terminal.

    Raises:
        CliError: nobody is there to ask.
    """
    if not fields:
        return {}
    if not sys.stdin.isatty():
        example = " ".join(f"--secret {field}=env:VARIABLE" for field in fields)
        raise CliError(
            f"{owner} needs {_listed(fields)}: give {example}\n(or file:PATH or - in place of env:VARIABLE; "
            "on a terminal they are asked for)"
        )
    values = {field: (prompt or _prompt)(field) for field in fields}
    _remember(values.values())
    return values


def required(fields: "Mapping[str, SecretField]") -> list[str]:
    """The names of the fields that must have a value."""
    return [name for name, field in fields.items() if not field.optional]


def _split(argument: str, number: int, fields: Collection[str], owner: str) -> tuple[str, str]:
    field, equals, source = argument.partition("=")
    if not equals:
        raise CliError(f"--secret number {number} has no '=': write FIELD=SOURCE, where SOURCE is {SOURCES}")
    if field not in fields:
        # Only a name close to a known one is repeated: anything else could be a misplaced secret.
        near = get_close_matches(field, fields, n=1)
        told = f"--secret {field}: did you mean {near[0]}?" if near else f"--secret number {number} names no secret"
        raise CliError(f"{told} ({owner} takes {_listed(sorted(fields)) or 'none'})")
    return field, source


def _read(field: str, source: str) -> str:
    scheme, _, rest = source.partition(":")
    if source == "-":
        return _prompt(field) if sys.stdin.isatty() else _from_input(field)
    if scheme == "env" and rest:
        return _from_environment(field, rest)
    if scheme == "file" and rest:
        return _from_file(field, rest)
    raise CliError(
        f"--secret {field}: a plain value is refused, because the command line stays in the shell's history and in the "
        f"list of processes. This one is there now: remove it from the history, or better, replace the secret. "
        f"Give {SOURCES}, or leave the option out to be asked"
    )


def _from_environment(field: str, variable: str) -> str:
    try:
        return os.environ[variable]
    except KeyError:
        raise CliError(f"--secret {field}: environment variable {variable} is not set") from None


def _from_input(field: str) -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise CliError(f"--secret {field}: standard input is not text in UTF-8") from None


def _from_file(field: str, path: str) -> str:
    try:
        return Path(path).read_bytes().decode()
    except OSError as error:
        raise CliError(f"--secret {field}: {cannot_be_read(path, error)}") from None
    except UnicodeDecodeError:
        raise CliError(f"--secret {field}: {path} is not text in UTF-8") from None


def _prompt(field: str) -> str:
    return str(typer.prompt(field, hide_input=True, err=True))


def _remember(values: Iterable[str]) -> None:
    from net.redaction import LIVE_SECRETS

    for value in values:
        LIVE_SECRETS.add(value)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
