"""`tieline apply`, `validate`, `schema` and `integrations`: what is declared, and what of it is published."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CliError
from cli.output import Output, OutputOption, Printer, dumps, note
from cli.secrets import SecretsOption, ask_for, read_secrets, required
from cli.session import with_stores

if TYPE_CHECKING:
    from definitions.integration import Integration
    from definitions.loading import Document
    from runtime.stores import Stores
    from storage.definitions import Change

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The integration's key.")]
PathsArgument = Annotated[list[Path], typer.Argument(metavar="PATH…", help="YAML files, or folders of them.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("apply")(apply)
    app.command("validate")(validate)
    app.command("schema")(schema)
    group = typer.Typer(help="Integrations that are published, and their OAuth clients.", no_args_is_help=True)
    group.command("list")(list_integrations)
    group.command("show")(show)
    group.command("set-secrets")(set_secrets)
    app.add_typer(group, name="integrations")


def apply(
    paths: PathsArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Publish integrations and profiles; shows what changes."""
    documents = _load(paths)
    changes = with_stores(lambda stores: stores.definitions.apply(documents, dry_run=dry_run))
    printer = Printer(output)
    if printer.json:
        printer.document({"dry_run": dry_run, "changes": [_as_json(change) for change in changes]})
        return
    for change in changes:
        _print_change(printer, change, dry_run=dry_run)


def validate(paths: PathsArgument, output: OutputOption = Output.TABLE) -> None:
    """Check definitions without publishing them; needs no database."""
    documents = _load(paths)
    printer = Printer(output)
    if printer.json:
        printer.document([{"kind": each.kind, "key": each.key, "source": str(each.source)} for each in documents])
        return
    for each in documents:
        printer.line(f"{each.kind} {each.key}: valid ({each.source}:{each.line})")


def schema(
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there instead.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print the JSON Schema of definition files, for editors."""
    from definitions.loading import json_schema

    text = dumps(json_schema())
    if out is None:
        print(text)
        return
    try:
        out.write_text(text + "\n")
    except OSError as error:
        raise CliError(f"--out: {out} cannot be written ({error.strerror})") from None
    printer = Printer(output)
    if printer.json:
        printer.document({"written": str(out)})
    else:
        printer.line(f"written to {out}; name it in a file's first line: # yaml-language-server: $schema={out}")


def list_integrations(output: OutputOption = Output.TABLE) -> None:
    """List the integrations that are published."""

    async def find(stores: "Stores") -> "list[Integration]":
        return [await stores.definitions.integration(key) for key in await stores.definitions.list("integration")]

    integrations = with_stores(find)
    printer = Printer(output)
    if printer.json:
        printer.document([_summary(each) for each in integrations])
        return
    rows = [(each.key, each.name, each.auth.type, each.base_url) for each in integrations]
    printer.table(("KEY", "NAME", "AUTH", "BASE URL"), rows, empty="None is published yet: tieline apply FILE…")


def show(
    key: KeyArgument,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show an integration as it is published, and what an account of it needs."""

    async def look(stores: "Stores") -> "tuple[Integration, list[str]]":
        from storage.vault_records import INTEGRATION_SECRETS, stored_fields

        async with stores.database.read() as connection:
            shared = await stored_fields(connection, INTEGRATION_SECRETS, key)
        return await stores.definitions.integration(key), sorted(shared)

    integration, shared = with_stores(look)
    printer = Printer(output)
    if printer.json:
        document = integration.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        secrets = [{"name": name, "optional": field.optional} for name, field in _secrets(integration)]
        printer.document({"definition": document, "secrets": secrets, "shared_secrets": shared})
        return
    printer.fields(
        {
            "key": integration.key,
            "name": integration.name,
            "base URL": integration.base_url,
            "auth": integration.auth.type,
            "parameters": list(integration.parameters),
            "secrets": [name + (" (optional)" if field.optional else "") for name, field in _secrets(integration)],
            "shared by all accounts": shared,
            "placed in": [f"{place.in_} {place.name}" for place in integration.auth.place],
            "test": f"{integration.test.method} {integration.test.path}" if integration.test else "none declared",
        }
    )


def set_secrets(
    key: KeyArgument,
    secret: SecretsOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Store secrets for all accounts of an integration: its OAuth client. An account's own go before them."""
    # Asked for outside of any event loop, which would keep Ctrl-C from whoever is asked.
    fields = with_stores(lambda stores: stores.definitions.integration(key)).secret_fields()
    owner = f"integration {key!r}"
    secrets = read_secrets(secret, fields, owner) or ask_for(required(fields), owner)
    if not secrets:
        raise CliError(f"{owner} has no secrets: its authentication needs none")
    with_stores(lambda stores: stores.accounts.set_integration_secrets(key, secrets))
    printer = Printer(output)
    if printer.json:
        printer.document({"integration": key, "stored": sorted(secrets)})
    else:
        printer.line(f"integration {key}: stored {', '.join(sorted(secrets))}, for all its accounts")


def _load(paths: list[Path]) -> "list[Document]":
    from definitions.loading import load_paths

    try:
        documents = load_paths(paths)
    except UnicodeDecodeError as error:
        raise CliError(f"{_undecodable(paths)} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise CliError(f"{error.filename}: {error.strerror}" if error.strerror else str(error)) from None
    if not documents:
        raise CliError(f"there is no definition in {', '.join(map(str, paths))}: expected *.yaml files")
    return documents


def _undecodable(paths: list[Path]) -> Path | str:
    """Which of the files it is: the error itself does not say."""
    for path in paths:
        for file in sorted(path.rglob("*.y*ml")) if path.is_dir() else [path]:
            try:
                file.read_bytes().decode()
            except UnicodeDecodeError:
                return file
    return "a file"


def _print_change(printer: Printer, change: "Change", *, dry_run: bool) -> None:
    told = change.action if not dry_run or change.action == "unchanged" else f"would be {change.action}"
    printer.line(f"{change.kind} {change.key}: {told} (version {change.version[:12]})")
    if change.action == "updated":
        for line in change.diff.splitlines():
            printer.line(f"  {line}")
    for warning in change.warnings:
        note(f"warning: {change.kind} {change.key}: {warning}")


def _as_json(change: "Change") -> dict[str, Any]:
    return {field: getattr(change, field) for field in type(change).__dataclass_fields__}


def _summary(integration: "Integration") -> dict[str, Any]:
    return {
        "key": integration.key,
        "name": integration.name,
        "auth": integration.auth.type,
        "base_url": integration.base_url,
    }


def _secrets(integration: "Integration") -> list[tuple[str, Any]]:
    return list(integration.secret_fields().items())
