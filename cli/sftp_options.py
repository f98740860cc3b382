"""What all commands of `tieline sftp` share: arguments, and from them to an operation and its run."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli.arguments import validation_fault
from cli.errors import Complaint
from cli.output import Output, OutputOption
from cli.session import Session
from cli.started import start
from cli.waiting import WaitOption

if TYPE_CHECKING:
    from definitions.refs import CredentialRef
    from definitions.run import AnyOperation
    from definitions.sftp import SftpOperation
    from runtime.runs import Started

T = TypeVar("T")

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
NoFoldersOption = Annotated[bool, typer.Option("--no-folders", help="Do not make folders that are missing.")]
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
    "media_type": "--media-type",
    "timeout": "--timeout",
    "stall_after": "--stall-after",
    "give_up_after": "--give-up-after",
    "on_failure": "--on-failure",
    "park_for": "--park-for",
}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What every command is told about its run. Each field is an option: `with_run_options`."""

    profile: ProfileOption = "dev"
    subject: SubjectOption = None
    key: KeyOption = None
    timeout: TimeoutOption = None
    stall_after: StallOption = None
    give_up_after: GiveUpOption = None
    on_failure: OnFailureOption = None
    park_for: ParkOption = None
    no_wait: NoWaitOption = False
    wait: WaitOption = None
    output: OutputOption = Output.TABLE

    def credential(self, adapter: str) -> "CredentialRef":
        """Whose secrets the run uses."""
        from definitions.refs import CredentialRef

        return CredentialRef(adapter=adapter, profile=self.profile, subject=self.subject)

    @property
    def limits(self) -> dict[str, Any]:
        """How long things may take, and what happens then: fields of every operation."""
        return {
            "timeout": self.timeout,
            "stall_after": self.stall_after,
            "give_up_after": self.give_up_after,
            "on_failure": self.on_failure,
            "park_for": self.park_for,
        }


def with_run_options(command: Callable[..., T]) -> Callable[..., T]:
    """The command as it is typed: with the options of `RunOptions`, which it gets as one, its parameter `run`."""
    own = [each for each in signature(command).parameters.values() if each.name != "run"]
    shared = list(signature(RunOptions).parameters.values())

    @functools.wraps(command)
    def typed(**given: Any) -> T:
        run = RunOptions(**{each.name: given.pop(each.name) for each in shared})
        return command(**given, run=run)

    parameters = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in [*own, *shared]]
    typed.__signature__ = Signature(parameters)  # type: ignore[attr-defined] # what typer reads
    typed.__annotations__ = {each.name: each.annotation for each in parameters}
    return typed


async def begin_run(session: Session, operation: "AnyOperation", adapter: str, run: RunOptions) -> "Started":
    """Raises what `start` does."""
    return await start(session, operation, run.credential(adapter), run.key)


async def check_bound(session: Session, operation: "AnyOperation", adapter: str, run: RunOptions) -> None:
    """Raises what `begin_run` would, before files are stored for it."""
    from runtime.binding import bound_for

    await bound_for(session.stores, operation, run.credential(adapter))


def looks_like_pattern(path: str) -> bool:
    """It may be a name as well."""
    return any(sign in path for sign in "*?[")


def is_not_found(complaint: Complaint) -> bool:
    """Whether a run failed as there is no such file or folder."""
    return bool(complaint.details.get("failure", {}).get("category") == "not_found")


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
