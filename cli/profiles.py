"""`tieline profiles`: which account an adapter uses in which environment."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CliError
from cli.output import Output, OutputOption, Printer
from cli.session import with_stores

if TYPE_CHECKING:
    from definitions.profile import Binding, Profile
    from runtime.stores import Stores

Edit = Callable[[dict[str, Any]], object]

ProfileArgument = Annotated[str, typer.Argument(metavar="PROFILE", help="Such as dev, qa or production.")]

AdapterArgument = Annotated[
    str, typer.Argument(metavar="ADAPTER", help="The name under which apps use the integration.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    group = typer.Typer(help="Bind adapters to accounts, per environment.", no_args_is_help=True)
    group.command("set")(bind)
    group.command("unset")(unbind)
    group.command("set-variable")(set_variable)
    group.command("list")(list_profiles)
    group.command("show")(show)
    app.add_typer(group, name="profiles")


def bind(
    profile: ProfileArgument,
    adapter: AdapterArgument,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The connected account.")],
    subject: Annotated[str | None, typer.Option(help="Bind for this end user of the app only.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Bind an adapter to an account in a profile; a profile that is not there yet is created."""

    async def go(stores: "Stores") -> str:
        found = await stores.accounts.get(account)
        if subject is None:
            return await _edited(stores, profile, lambda data: _bind_all(data, adapter, account))
        action = await _edited(stores, profile, lambda data: _bind_per_subject(data, profile, adapter))
        from storage.bindings import bind_subject

        async with stores.database.write() as connection:
            await bind_subject(connection, profile, adapter, subject, found.id)
        return action

    action = with_stores(go)
    printer = Printer(output)
    if printer.json:
        printer.document(
            {"profile": profile, "adapter": adapter, "account": account, "subject": subject, "action": action}
        )
        return
    whose = f" for subject {subject}" if subject else ""
    created = " (the profile is new)" if action == "created" else ""
    printer.line(f"profile {profile}: adapter {adapter} uses account {account}{whose}{created}")


def unbind(
    profile: ProfileArgument,
    adapter: AdapterArgument,
    subject: Annotated[str | None, typer.Option(help="Forget the account of this end user only.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take an adapter out of a profile, or one end user's account."""

    async def go(stores: "Stores") -> None:
        found = await stores.definitions.profile(profile)
        if adapter not in found.adapters:
            from auth.errors import suggestion

            raise CliError(f"profile {profile!r} has no adapter {adapter!r}.{suggestion(adapter, found.adapters)}")
        if subject is None:
            await _edited(stores, profile, lambda data: data["adapters"].pop(adapter))
        else:
            await _forget(stores, profile, adapter, subject)

    with_stores(go)
    printer = Printer(output)
    if printer.json:
        printer.document({"profile": profile, "adapter": adapter, "subject": subject, "action": "removed"})
    else:
        printer.line(f"profile {profile}: adapter {adapter} is bound no more" + (f" for {subject}" if subject else ""))


async def _forget(stores: "Stores", profile: str, adapter: str, subject: str) -> None:
    from storage.bindings import account_of_subject, unbind_subject

    async with stores.database.write() as connection:
        if await account_of_subject(connection, profile, adapter, subject) is None:
            raise CliError(f"profile {profile!r}, adapter {adapter!r}: subject {subject!r} has no account")
        await unbind_subject(connection, profile, adapter, subject)


def set_variable(
    profile: ProfileArgument,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    value: Annotated[str, typer.Argument(metavar="VALUE")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Set a variable of a profile; variables are not secret."""

    def edit(data: dict[str, Any]) -> None:
        data["variables"][name] = value

    action = with_stores(lambda stores: _edited(stores, profile, edit))
    printer = Printer(output)
    if printer.json:
        printer.document({"profile": profile, "variable": name, "value": value, "action": action})
    else:
        printer.line(f"profile {profile}: variable {name} is set")


def list_profiles(output: OutputOption = Output.TABLE) -> None:
    """List profiles."""

    async def find(stores: "Stores") -> "list[Profile]":
        return [await stores.definitions.profile(name) for name in await stores.definitions.list("profile")]

    profiles = with_stores(find)
    printer = Printer(output)
    if printer.json:
        printer.document([profile.model_dump(mode="json") for profile in profiles])
        return
    rows = [(each.name, list(each.adapters), list(each.variables)) for each in profiles]
    empty = "There is no profile yet: tieline profiles set dev ADAPTER ACCOUNT"
    printer.table(("PROFILE", "ADAPTERS", "VARIABLES"), rows, empty=empty)


def show(profile: ProfileArgument, output: OutputOption = Output.TABLE) -> None:
    """Show a profile: what each adapter stands for there."""

    async def look(stores: "Stores") -> "tuple[Profile, dict[str, str]]":
        accounts = {account.name: account.integration for account in await stores.accounts.list()}
        return await stores.definitions.profile(profile), accounts

    found, integrations = with_stores(look)
    printer = Printer(output)
    if printer.json:
        printer.document(found.model_dump(mode="json"))
        return
    rows = [_row(adapter, binding, integrations) for adapter, binding in found.adapters.items()]
    printer.table(
        ("ADAPTER", "ACCOUNT", "INTEGRATION"), rows, empty=f"Bind one: tieline profiles set {profile} ADAPTER ACCOUNT"
    )
    if found.variables:
        printer.line()
        printer.table(("VARIABLE", "VALUE"), list(found.variables.items()), empty="")


def _row(adapter: str, binding: "Binding", integrations: dict[str, str]) -> tuple[str, str, str]:
    if binding.account is None:
        return adapter, "one per subject", ""
    return adapter, binding.account, integrations.get(binding.account, "there is no such account yet")


def _bind_all(data: dict[str, Any], adapter: str, account: str) -> None:
    data["adapters"][adapter] = account


def _bind_per_subject(data: dict[str, Any], profile: str, adapter: str) -> None:
    """Binding one end user must not take the account away from all others."""
    before = data["adapters"].get(adapter)
    if before is not None and not before["per_subject"]:
        raise CliError(
            f"profile {profile!r}, adapter {adapter!r}: bound to account {before['account']!r} for everybody; apply "
            f"the profile with {adapter}: {{per_subject: true}} first"
        )
    data["adapters"][adapter] = {"per_subject": True}


async def _edited(stores: "Stores", name: str, edit: Edit) -> str:
    """Put an edited version of the profile into force; returns `created`, `updated` or `unchanged`."""
    from pydantic import ValidationError

    from cli.arguments import validation_fault
    from definitions.loading import Document
    from definitions.profile import Profile
    from storage.errors import NotFound

    try:
        data = (await stores.definitions.profile(name)).model_dump(mode="json")
    except NotFound:
        data = {"kind": "profile", "name": name, "adapters": {}, "variables": {}}
    edit(data)
    try:
        model = Profile.model_validate(data)
    except ValidationError as error:
        raise validation_fault(error, {"name": "PROFILE", "adapters": "ADAPTER", "variables": "NAME"}) from None
    [change] = await stores.definitions.apply([Document("profile", name, model, "the command line", 1)])
    return change.action
