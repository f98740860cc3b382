"""`tieline tokens`: who may use the HTTP API, and what for."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments import duration
from cli.output import Output, OutputOption, Printer, note
from cli.session import with_stores

if TYPE_CHECKING:
    from storage.api_tokens import ApiToken

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What the token is called: the app that uses it.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    group = typer.Typer(help="Tokens for the HTTP API.", no_args_is_help=True)
    group.command("create")(create)
    group.command("list")(list_tokens)
    group.command("revoke")(revoke)
    app.add_typer(group, name="tokens")


def create(
    name: NameArgument,
    scope: Annotated[list[str], typer.Option(help="runs:start, runs:read, runs:decide or manage; may be repeated.")],
    allow: Annotated[
        list[str] | None, typer.Option(metavar="CIDR", help="Where it may be used from; may be repeated.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it is good, such as 90d.", show_default="for ever")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Create a token. It is shown once: only a hash is kept. From the first token on, the API asks for one."""
    lifetime = duration("--expires", expires) if expires else None
    token, text = with_stores(lambda stores: stores.api_tokens.create(name, scope, allow or [], lifetime))
    printer = Printer(output)
    if printer.json:
        printer.document({**_as_json(token), "token": text})
        return
    printer.line(text)
    note(f"token {name}: {', '.join(token.scopes)}. It is not shown again: keep it where secrets are kept")


def list_tokens(output: OutputOption = Output.TABLE) -> None:
    """List tokens, without what they are."""
    tokens = with_stores(lambda stores: stores.api_tokens.list())
    printer = Printer(output)
    if printer.json:
        printer.document([_as_json(token) for token in tokens])
        return
    rows = [(each.name, list(each.scopes), list(each.allow), _state(each), _time(each.last_used_at)) for each in tokens]
    empty = "There is no token, so the API serves this machine only: tieline tokens create NAME --scope runs:start"
    printer.table(("NAME", "SCOPES", "FROM", "STATE", "LAST USED"), rows, empty=empty)


def revoke(name: NameArgument, output: OutputOption = Output.TABLE) -> None:
    """End a token at once."""
    token = with_stores(lambda stores: stores.api_tokens.revoke(name))
    printer = Printer(output)
    if printer.json:
        printer.document(_as_json(token))
    else:
        printer.line(f"token {name}: revoked")


def _state(token: "ApiToken") -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is None:
        return "in use"
    until = datetime.fromtimestamp(token.expires_at).astimezone()
    return "expired" if until <= datetime.now(UTC) else f"until {until:%Y-%m-%d %H:%M}"


def _as_json(token: "ApiToken") -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": list(token.scopes),
        "allow": list(token.allow),
        "created_at": _time(token.created_at),
        "expires_at": _time(token.expires_at),
        "last_used_at": _time(token.last_used_at),
        "revoked_at": _time(token.revoked_at),
    }


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
