"""`tieline keys`: the keys that encrypt all secrets of this installation."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CliError, Status
from cli.output import Output, OutputOption, Printer, note
from cli.session import with_stores

if TYPE_CHECKING:
    from auth.vault import Rotation
    from runtime.stores import Stores


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    group = typer.Typer(help="The key-encryption keys of this installation.", no_args_is_help=True)
    group.command("list")(list_keys)
    group.command("rotate")(rotate)
    group.command("drop")(drop)
    app.add_typer(group, name="keys")


def list_keys(output: OutputOption = Output.TABLE) -> None:
    """List the keys by their ids, and how many records each of them wraps."""

    async def look(stores: "Stores") -> list[dict[str, Any]]:
        wrapped = await stores.vault.records_by_key()
        return [
            {
                "id": kek_id,
                "primary": kek_id == stores.keys.primary_id,
                "held": kek_id in stores.keys.ids,
                "records": wrapped.get(kek_id, 0),
            }
            for kek_id in sorted(stores.keys.ids | wrapped.keys())
        ]

    keys = with_stores(look)
    printer = Printer(output)
    if printer.json:
        printer.document(keys)
        return
    rows = [(key["id"], _role(key), key["records"]) for key in keys]
    printer.table(("KEY", "ROLE", "RECORDS"), rows, empty="There is no key.")


def rotate(output: OutputOption = Output.TABLE) -> int:
    """Make a new primary key and wrap every record with it. Interrupted, the next rotation finishes the work."""

    async def turn(stores: "Stores") -> "Rotation":
        if not await _unfinished(stores):
            stores.keys.add_primary()
        return await stores.vault.rotate()

    rotation = with_stores(turn)
    printer = Printer(output)
    if printer.json:
        printer.document(
            {"key": rotation.key, "rewrapped": rotation.rewrapped, "unreadable": list(rotation.unreadable)}
        )
    else:
        printer.line(f"key {rotation.key}: {rotation.rewrapped} records are wrapped with it now")
        for record in rotation.unreadable:
            note(f"stored secret {record} cannot be read: restore its key, or save it again")
    return Status.FAILED if rotation.unreadable else Status.DONE


def drop(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id: tieline keys list.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take a key out of the key file for good; refused while a stored secret needs it. Histories are not looked at."""
    if not yes:
        if not sys.stdin.isatty():
            raise CliError(f"runs whose histories were written with key {key!r} become unreadable: say --yes")
        if not typer.confirm(f"Drop key {key}? Runs whose histories were written with it become unreadable", err=True):
            raise CliError(f"key {key} was not dropped", Status.FAILED)

    async def take_out(stores: "Stores") -> None:
        async with stores.vault.without(key):
            stores.keys.drop(key)

    with_stores(take_out)
    printer = Printer(output)
    if printer.json:
        printer.document({"dropped": key})
    else:
        printer.line(f"key {key}: dropped")


async def _unfinished(stores: "Stores") -> bool:
    """Whether an earlier rotation was interrupted: records are left under a key that is primary no more."""
    wrapped = await stores.vault.records_by_key()
    return bool((wrapped.keys() & stores.keys.ids) - {stores.keys.primary_id})


def _role(key: dict[str, Any]) -> str:
    if key["primary"]:
        return "primary"
    return "for what was written before" if key["held"] else "missing: put it back, or restore its backup"
