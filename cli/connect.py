"""`tieline accounts connect` and `disconnect`: a person's consent at the provider, and its end."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CliError, Status
from cli.output import Output, OutputOption, Printer, note
from cli.session import with_stores

if TYPE_CHECKING:
    from auth.connect import Connector, Progress
    from auth.disconnect import Disconnected
    from runtime.stores import Stores

PORT = 8701
"""Fixed, because providers accept exactly the redirect URI that was registered with them."""
LOOK_EVERY = 0.5
AFTERGLOW = 1.0
"""Seconds for which the pages stay after the consent, so that the browser reads the last one."""

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.")]


def connect(
    name: NameArgument,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port on 127.0.0.1 that the provider sends the browser back to.",
            show_default=str(PORT),
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where a gateway serves the pages for connecting, instead of this command.",
            show_default="TIELINE_GATEWAY_URL, if that is set",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Another external account may take the place of the connected one.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Connect an account: prints a link, waits for the consent, and tells what came of it."""
    if url is not None and port is not None:
        raise CliError("--url and --port: a gateway serves the pages, or this command; say one of them")

    async def work(stores: "Stores") -> "Progress | None":
        from runtime.connecting import open_connecting

        await stores.accounts.get(name)
        served = url if url is not None or port is not None else stores.settings.gateway_url
        async with open_connecting(stores) as connecting, _pages(connecting.connector, port, served) as base:
            return await _consented(connecting.connector, name, base, replace=replace)

    progress = with_stores(work)
    if progress is None:
        raise CliError(f"account {name} was deleted meanwhile", Status.FAILED)
    if progress.outcome != "connected":
        from auth.connect_error import nobody_came

        told = (progress.told or nobody_came(name)).replace(". Next step: ", "\nNext step: ")
        raise CliError(told, Status.FAILED, account=name, outcome=progress.outcome)
    printer = Printer(output)
    if printer.json:
        printer.document({"account": name, "outcome": progress.outcome, "told": progress.told})
    else:
        printer.line(progress.told or "")


def disconnect(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop an account, and revoke its grant at the provider where that can be done."""
    with_stores(lambda stores: stores.accounts.get(name))
    if not yes:
        _confirm(name)

    async def work(stores: "Stores") -> "Disconnected":
        from runtime.connecting import open_connecting

        async with open_connecting(stores) as connecting:
            return await connecting.disconnector.disconnect(name)

    done = with_stores(work)
    printer = Printer(output)
    if printer.json:
        printer.document({"account": name, "revoked": done.revoked, "told": done.told})
    else:
        printer.line(done.told)


@contextlib.asynccontextmanager
async def _pages(connector: "Connector", port: int | None, url: str | None) -> AsyncIterator[str]:
    if url is not None:
        yield url
        return
    from gateway.loopback import serving_connect

    async with serving_connect(connector, PORT if port is None else port) as base:
        yield base
        await asyncio.sleep(AFTERGLOW)


async def _consented(connector: "Connector", name: str, base: str, *, replace: bool) -> "Progress | None":
    try:
        invitation = await connector.invite(name, base, replaces=replace)
    except ValueError as error:
        raise CliError(f"--url: {error}") from None
    note(f"The provider must know this redirect URI: {invitation.redirect_uri}")
    note(f"Open this link in a browser within ten minutes, and consent:\n\n  {invitation.link}\n")
    while True:
        progress = await connector.progress(invitation.id)
        if progress is None or progress.outcome is not None:
            return progress
        await asyncio.sleep(LOOK_EVERY)


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise CliError(f"disconnecting account {name!r} ends its grant: say --yes")
    if not typer.confirm(f"Disconnect account {name} and revoke its grant?", err=True):
        raise CliError(f"account {name} was not disconnected", Status.FAILED)
