"""What all commands of `tieline sftp` share: arguments, and from them to an operation and its run."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments import validation_fault
from cli.session import Session
from cli.started import start

if TYPE_CHECKING:
    from definitions.run import AnyOperation
    from definitions.sftp import SftpOperation
    from runtime.runs import Started

AdapterArgument = Annotated[str, typer.Argument(metavar="ADAPTER", help="The adapter, as the profile names it.")]
PathArgument = Annotated[str, typer.Argument(metavar="PATH", help="Below the account's root folder.")]
ProfileOption = Annotated[str, typer.Option("--profile", "-p", envvar="TIELINE_PROFILE", help="The environment.")]
SubjectOption = Annotated[str | None, typer.Option(help="The app's end user, where accounts are bound per subject.")]
KeyOption = Annotated[str | None, typer.Option(help="A second command with the same key finds the first one's run.")]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Print the run's id at once.")]
TimeoutOption = Annotated[str | None, typer.Option(metavar="TIME", help="Of one attempt.", show_default="1h")]
StallOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="An attempt without progress ends.", show_default="60s")
]
GiveUpOption = Annotated[str | None, typer.Option(metavar="TIME", help="All attempts.", show_default="24h")]
OnFailureOption = Annotated[
    str | None,
    typer.Option(metavar="fail|park", help="A final failure: or a wait for a decision.", show_default="fail"),
]
ParkOption = Annotated[
    str | None, typer.Option("--park-for", metavar="TIME", help="A wait for a decision, at most.", show_default="30d")
]
OverwriteOption = Annotated[
    str, typer.Option(metavar="fail|replace|skip_if_same", help="What if the file is there already.")
]
MinAgeOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Leave out what changed since; get: with a pattern.")
]
PermissionsOption = Annotated[str | None, typer.Option(metavar="OCTAL", help="Such as 0640, or 0750 of a folder.")]
RecursiveOption = Annotated[bool, typer.Option("--recursive", "-r", help="A folder with all that is below it.")]

_PLACES = {
    "type": "the operation",
    "files": "TO",
    "path": "PATH",
    "paths": "PATH",
    "to": "TO",
    "overwrite": "--overwrite",
    "verify": "--verify",
    "marker_file": "--marker",
    "permissions": "--permissions",
    "modified_at": "--modified",
    "after": "--after",
    "move_to": "--move-to",
    "min_age": "--min-age",
    "sha256": "--sha256",
    "max_bytes": "--max-bytes",
    "sort": "--sort",
    "kind": "--kind",
    "glob": "--glob",
    "limit": "--limit",
    "timeout": "--timeout",
    "stall_after": "--stall-after",
    "give_up_after": "--give-up-after",
    "on_failure": "--on-failure",
    "park_for": "--park-for",
}


async def begin_run(
    session: Session, operation: "AnyOperation", adapter: str, profile: str, subject: str | None, key: str | None
) -> "Started":
    from definitions.refs import CredentialRef

    return await start(session, operation, CredentialRef(adapter=adapter, profile=profile, subject=subject), key)


async def check_bound(
    session: Session, operation: "AnyOperation", adapter: str, profile: str, subject: str | None
) -> None:
    """Raises what `begin_run` would, before files are stored for it."""
    from definitions.refs import CredentialRef
    from runtime.binding import bound_for

    await bound_for(session.stores, operation, CredentialRef(adapter=adapter, profile=profile, subject=subject))


def sftp_operation(fields: dict[str, Any]) -> "AnyOperation":
    """Raises CliError: with a line for each fault, naming its argument."""
    from pydantic import ValidationError

    from definitions.sftp import MODELS

    given = {name: value for name, value in fields.items() if value is not None}
    try:
        operation: SftpOperation = MODELS[fields["type"]].model_validate(given)  # type: ignore[assignment]
        return operation
    except ValidationError as error:
        raise validation_fault(error, _PLACES) from None


def limits(
    timeout: str | None,
    stall_after: str | None,
    give_up_after: str | None,
    on_failure: str | None,
    park_for: str | None,
) -> dict[str, str | None]:
    """How long things may take, and what happens then."""
    return {
        "timeout": timeout,
        "stall_after": stall_after,
        "give_up_after": give_up_after,
        "on_failure": on_failure,
        "park_for": park_for,
    }
