"""`tieline accounts host-keys` and `trust-host-key`: by what an SFTP server proves who it is."""

import getpass
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments import text_content
from cli.errors import CliError, Status
from cli.output import Output, OutputOption, Printer, note
from cli.session import with_stores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auth.sftp_account import SftpAddress
    from definitions.integration import Integration
    from net.sftp_server import HostKey
    from runtime.stores import Stores

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.")]
HostKeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host-key",
        metavar="KEY|SHA256:…|@FILE",
        help="Of an SFTP server: its public key, the fingerprint of one that it offers, or a file of keys or of known "
        "hosts. May be repeated.",
    ),
]


def host_keys(
    name: NameArgument,
    look: Annotated[bool, typer.Option("--look", help="Ask the server which keys it offers now.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the host keys that were confirmed for an account, what they count for, and who confirmed them."""

    async def find(stores: "Stores") -> "tuple[list[dict[str, Any]], Sequence[HostKey]]":
        from runtime.host_keys import offered_keys

        account = await stores.accounts.get(name)
        trusted = [
            {
                "fingerprint": each.fingerprint,
                "key": each.line,
                "role": each.role,
                "confirmed_by": each.added_by,
                "confirmed_at": datetime.fromtimestamp(each.added_at, UTC),
                "why": each.why,
            }
            for each in await stores.host_keys.of(name)
        ]
        if not look:
            return trusted, ()
        integration = await stores.definitions.integration(account.integration)
        return trusted, (await offered_keys(stores.settings, integration, account.parameters))[1]

    trusted, offered = with_stores(find)
    printer = Printer(output)
    known = {each["fingerprint"] for each in trusted if each["role"] == "trusted"}
    if printer.json:
        shown = [
            {"fingerprint": key.fingerprint, "key": key.public, "trusted": key.fingerprint in known} for key in offered
        ]
        printer.document({"account": name, "trusted": trusted, **({"offered": shown} if look else {})})
        return
    rows = [
        (each["fingerprint"], each["role"], each["confirmed_by"], f"{each['confirmed_at']:%Y-%m-%d}", each["why"])
        for each in trusted
    ]
    printer.table(("HOST KEY", "ROLE", "CONFIRMED BY", "AT", "WHY"), rows, empty=f"account {name} trusts no host key")
    for key in offered:
        printer.line(
            f"offered: {key.fingerprint} ({key.algorithm}){'' if key.fingerprint in known else ', not trusted'}"
        )


def trust_host_key(
    name: NameArgument,
    key: Annotated[list[str], typer.Argument(metavar="KEY|SHA256:…|@FILE", help="As with accounts create --host-key.")],
    why: Annotated[str, typer.Option(metavar="TEXT", help="Who said that it is the server's; kept.")],
    who: Annotated[str | None, typer.Option(metavar="NAME", show_default="your user name")] = None,
    add: Annotated[bool, typer.Option("--add", help="Keep the keys that are trusted, too.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Trust these host keys in place of those before; runs that wait for that go on."""
    given = [text_content("KEY", each) for each in key]

    async def work(stores: "Stores") -> "Sequence[str]":
        from runtime.host_keys import keys_meant

        account = await stores.accounts.get(name)
        integration = await stores.definitions.integration(account.integration)
        lines = await keys_meant(stores.settings, integration, account.parameters, given)
        await stores.host_keys.trust(name, lines, who=who or user(), why=why, add=add)
        return [each.fingerprint for each in await stores.host_keys.of(name) if each.lets_in]

    trusted = with_stores(work)
    printer = Printer(output)
    if printer.json:
        printer.document({"account": name, "trusted": trusted})
    else:
        printer.line(f"account {name}: trusts {', '.join(trusted) or 'no key of its server: no line is about it'}")


async def confirmed_keys(
    stores: "Stores", integration: "Integration", parameters: "Mapping[str, str]", given: "Sequence[str]"
) -> list[str]:
    """What `accounts create` is to trust: what was given; else, where a person confirms it, what the server offers.

    Raises:
        CliError: nobody is there to ask, or the person says no.
        HostKeyError, SftpError: what was given is no key, or the server cannot be asked.
    """
    from auth.host_key_lines import policy_and_warnings
    from runtime.host_keys import Unconfirmed, keys_for_new_account

    for warning in policy_and_warnings(integration)[1]:
        note(f"warning: {warning}")
    try:
        return await keys_for_new_account(stores.settings, integration, parameters, given)
    except Unconfirmed as asked:
        _confirm(asked.address, asked.offered)
        return [key.public for key in asked.offered]


def _confirm(address: "SftpAddress", offered: "Sequence[HostKey]") -> None:
    place = f"{address.host}:{address.port}"
    note(f"{place} presents these host keys; ask its owner whether they are its own:")
    for key in offered:
        note(f"  {key.fingerprint}  {key.algorithm}")
    if not sys.stdin.isatty():
        told = " ".join(f"--host-key {key.fingerprint}" for key in offered)
        raise CliError(f"nobody is here to confirm the host keys of {place}: when they are right, say {told}")
    if not typer.confirm(f"Are these the keys of {address.host}?", err=True):
        raise CliError(f"the host keys of {place} were not confirmed: no account was created", Status.FAILED)


def user() -> str:
    """Who is at the keyboard, as far as the machine knows."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        raise CliError("this machine has no name for the user: say who decides with --who") from None
