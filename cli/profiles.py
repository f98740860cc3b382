"""`tieline profiles`: which account an adapter uses in which environment."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Output, OutputOption, Printer
from cli.session import with_stores

if TYPE_CHECKING:
    from definitions.profile import Binding, Profile
    from runtime.stores import Stores

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
        from runtime.profiles import bind

        return await bind(stores, profile, adapter, account, subject)

    action = _checked(lambda: with_stores(go))
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
        from runtime.profiles import unbind

        await unbind(stores, profile, adapter, subject)

    with_stores(go)
    printer = Printer(output)
    if printer.json:
        printer.document({"profile": profile, "adapter": adapter, "subject": subject, "action": "removed"})
    else:
        printer.line(f"profile {profile}: adapter {adapter} is bound no more" + (f" for {subject}" if subject else ""))


def set_variable(
    profile: ProfileArgument,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    value: Annotated[str, typer.Argument(metavar="VALUE")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Set a variable of a profile; variables are not secret."""

    async def go(stores: "Stores") -> str:
        from runtime.profiles import edit_profile

        return await edit_profile(stores, profile, lambda data: data["variables"].update({name: value}))

    action = _checked(lambda: with_stores(go))
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


def _checked(change: Callable[[], str]) -> str:
    """What a profile did not accept, in the words of the command line."""
    from pydantic import ValidationError

    from cli.arguments import validation_fault

    try:
        return change()
    except ValidationError as error:
        raise validation_fault(error, {"name": "PROFILE", "adapters": "ADAPTER", "variables": "NAME"}) from None
