"""`tieline accounts`: named credentials for integrations. Secrets go in and never come out."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments import parameters, text_content
from cli.connect import connect, disconnect
from cli.errors import CliError, Status
from cli.host_keys import HostKeyOption, confirmed_keys, host_keys, trust_host_key, user
from cli.output import Output, OutputOption, Printer, note
from cli.secrets import SecretsOption, ask_for, read_secrets, required
from cli.session import with_stores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from definitions.integration import Integration
    from runtime.account_test import Outcome
    from runtime.stores import Stores
    from storage.accounts import Account

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    group = typer.Typer(help="Create, test and change connected accounts.", no_args_is_help=True)
    group.command("create")(create)
    group.command("list")(list_accounts)
    group.command("show")(show)
    group.command("test")(try_account)
    group.command("refresh")(refresh)
    group.command("set-secrets")(set_secrets)
    group.command("connect")(connect)
    group.command("disconnect")(disconnect)
    group.command("host-keys")(host_keys)
    group.command("trust-host-key")(trust_host_key)
    group.command("delete")(delete)
    app.add_typer(group, name="accounts")


def create(
    name: NameArgument,
    integration: Annotated[str, typer.Option(metavar="KEY", help="The integration that it is an account of.")],
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the integration, not secret.")
    ] = None,
    secret: SecretsOption = None,
    host_key: HostKeyOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create an account."""
    values = parameters("--param", param or [])
    given = [text_content("--host-key", each) for each in host_key or []]

    async def check(stores: "Stores") -> "tuple[Integration, list[str], list[str]]":
        """Everything but the secrets first: nobody likes to be asked for them in vain."""
        model = await stores.accounts.check_new(name, integration, values)
        keys = await confirmed_keys(stores, model, values, given)
        return model, list(await stores.accounts.missing_secrets(model, ())), keys

    model, needed, keys = with_stores(check)
    owner = f"integration {integration!r}"
    secrets = read_secrets(secret, model.secret_fields(), owner)
    secrets |= ask_for([field for field in needed if field not in secrets], owner)
    confirmed_by = user() if keys else ""
    account = with_stores(lambda stores: stores.accounts.create(name, integration, values, secrets, keys, confirmed_by))
    printer = Printer(output)
    if printer.json:
        printer.document(_as_json(account, model))
        return
    printer.line(f"account {name}: created for integration {integration}")
    if model.by_consent:
        note(f"Next, consent at the provider: tieline accounts connect {name}")
    elif model.test or model.auth.type == "sftp":
        note(f"Does it work? tieline accounts test {name}")


def list_accounts(output: OutputOption = Output.TABLE) -> None:
    """List accounts."""

    async def find(stores: "Stores") -> list[dict[str, Any]]:
        accounts = await stores.accounts.list()
        models = await stores.definitions.integrations(account.integration for account in accounts)
        return [_as_json(account, models.get(account.integration)) for account in accounts]

    accounts = with_stores(find)
    printer = Printer(output)
    if printer.json:
        printer.document(accounts)
        return
    rows = [(each["name"], each["integration"], _state(each), each["cause"]) for each in accounts]
    empty = "There is no account yet: tieline accounts create NAME --integration KEY"
    printer.table(("NAME", "INTEGRATION", "STATE", "CAUSE"), rows, empty=empty)


def show(name: NameArgument, output: OutputOption = Output.TABLE) -> None:
    """Show an account; of its secrets only the names."""

    async def look(stores: "Stores") -> dict[str, Any]:
        from runtime.token_times import token_times

        account = await stores.accounts.get(name)
        names, bound = await stores.accounts.secret_names(account), await stores.accounts.bindings_of(name)
        token = await stores.accounts.token_of(account)
        model = await stores.definitions.integration(account.integration)
        told = {**_as_json(account, model), "secrets": list(names), "bound_in": list(bound)}
        if model.auth.type == "sftp":
            told["trusted_host_keys"] = sum(each.lets_in for each in await stores.host_keys.of(name))
        return {**told, **(token_times(token) if token else {})}

    shown = with_stores(look)
    printer = Printer(output)
    if printer.json:
        printer.document(shown)
    else:
        printer.fields({field.replace("_", " "): value for field, value in shown.items()})


def try_account(name: NameArgument, output: OutputOption = Output.TABLE) -> int:
    """Make the integration's test call, or log in to the SFTP server, and say what to do when that fails."""

    async def try_it(stores: "Stores") -> "Outcome":
        from runtime.account_test import try_account

        return await try_account(stores, name)

    outcome = with_stores(try_it)
    printer = Printer(output)
    if printer.json:
        printer.document(outcome.as_json())
    elif outcome.failure is None:
        printer.line(f"account {name}: works ({outcome.told})")
    else:
        raise CliError(f"account {name} does not work: {outcome.told}\nNext step: {outcome.action}", Status.FAILED)
    return Status.DONE if outcome.failure is None else Status.FAILED


def refresh(name: NameArgument, output: OutputOption = Output.TABLE) -> None:
    """Fetch a new token now."""

    async def renew(stores: "Stores") -> dict[str, Any]:
        from runtime.account_test import refresh_account

        return await refresh_account(stores, name)

    told = with_stores(renew)
    printer = Printer(output)
    if printer.json:
        printer.document(told)
        return
    expires = told["expires_at"]
    until = f", good until {expires.astimezone():%Y-%m-%d %H:%M:%S}" if expires else ""
    printer.line(f"account {name}: new token, version {told['token_version']}{until}")


def set_secrets(name: NameArgument, secret: SecretsOption = None, output: OutputOption = Output.TABLE) -> None:
    """Replace secrets of an account; without --secret, all that are required are asked for."""

    async def fields_of(stores: "Stores") -> "Integration":
        return await stores.definitions.integration((await stores.accounts.get(name)).integration)

    model, owner = with_stores(fields_of), f"account {name!r}"
    fields = model.secret_fields()
    secrets = read_secrets(secret, fields, owner) or ask_for(required(fields), owner)
    if not secrets:
        raise CliError(f"{owner} has no secrets: its integration declares none")
    account = with_stores(lambda stores: stores.accounts.set_secrets(name, secrets))
    printer = Printer(output)
    if printer.json:
        printer.document({**_as_json(account, model), "stored": sorted(secrets)})
    else:
        printer.line(f"account {name}: stored {', '.join(sorted(secrets))}")


def delete(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete an account and its secrets; refused while a profile binds it."""
    with_stores(lambda stores: stores.accounts.get(name))
    if not yes:
        _confirm(name)
    with_stores(lambda stores: stores.accounts.delete(name))
    printer = Printer(output)
    if printer.json:
        printer.document({"deleted": name})
    else:
        printer.line(f"account {name}: deleted")


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise CliError(f"deleting account {name!r} destroys its secrets: say --yes")
    if not typer.confirm(f"Delete account {name} and its secrets?", err=True):
        raise CliError(f"account {name} was not deleted", Status.FAILED)


def _state(account: "Mapping[str, Any]") -> str:
    state = str(account["state"]).replace("_", " ")
    return f"{state}, its server may be anybody" if "warnings" in account else state


def _as_json(account: "Account", integration: "Integration | None") -> dict[str, Any]:
    """An account holds no secret, so all of it can be shown."""
    from auth.host_key_lines import policy_and_warnings

    policy, warnings = policy_and_warnings(integration)
    return {
        "name": account.name,
        "integration": account.integration,
        "parameters": dict(account.parameters),
        "state": account.state,
        "cause": account.cause,
        "version": account.version,
        "created_at": datetime.fromtimestamp(account.created_at, UTC),
        "updated_at": datetime.fromtimestamp(account.updated_at, UTC),
        **({"host_key": policy.value} if policy else {}),
        **({"warnings": list(warnings)} if warnings else {}),
    }
