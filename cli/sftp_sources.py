"""What `tieline sftp put` sends, and where to: files of this machine, stored assets, answers of HTTP APIs."""

import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cli.arguments import pairs, split_path, validation_fault
from cli.errors import CliError
from cli.files import name_of, opened, pieces, size_of
from cli.progress import progress
from cli.session import Session

if TYPE_CHECKING:
    from definitions.asset import Asset

NO_CONTENT = {"sha256": "0" * 64, "size": 0}
"""In place of an asset that is not looked up, or not stored, yet."""

_DIGITS = re.compile("[0-9a-fA-F]{8,64}")
_ANSWER = re.compile(r"[\w-]+:.")
"""How ADAPTER:PATH begins; its query may hold an equals sign, which is none of TARGET= then."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine, or standard input; an asset as soon as the rest of the command is known to be right."""

    file: str
    target: str = ""
    name: str = ""

    def planned(self) -> dict[str, Any]:
        name = {} if self.name in ("", "..") else {"name": self.name}  # folders, as opening them will tell
        return {"type": "asset", "asset": {**NO_CONTENT, **name}}

    async def found(self, session: Session) -> "LocalFile":
        return self

    async def stored(self, session: Session) -> dict[str, Any]:
        from storage.assets import USER

        media_type = mimetypes.guess_type(self.name)[0] or "application/octet-stream"
        with opened(self.file) as source, progress(self.name, size := size_of(source)) as advance:
            asset = await session.stores.assets.put(
                pieces(source, advance), name=self.name, media_type=media_type, holder=USER, about=size
            )
        return {"type": "asset", "asset": asset.model_dump()}


@dataclass(frozen=True, slots=True)
class StoredAsset:
    """An asset that is there already, by the first digits of its hash or all of them."""

    digits: str
    target: str = ""
    name: str = ""
    asset: "Asset | None" = None

    def planned(self) -> dict[str, Any]:
        known = NO_CONTENT | {"name": self.digits} if self.asset is None else self.asset.model_dump()
        return {"type": "asset", "asset": known | ({"name": self.name} if self.name else {})}

    async def found(self, session: Session) -> "StoredAsset":
        assets = session.stores.assets
        return replace(self, asset=(await assets.info(await assets.resolve(self.digits))).asset())

    async def stored(self, session: Session) -> dict[str, Any]:
        return self.planned()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a GET through another adapter of the profile, streamed on."""

    source: dict[str, Any]
    target: str = ""
    name: str = ""

    def planned(self) -> dict[str, Any]:
        return {"type": "http", **self.source, **({"name": self.name} if self.name else {})}

    async def found(self, session: Session) -> "Answer":
        return self

    async def stored(self, session: Session) -> dict[str, Any]:
        return self.planned()


Sent = LocalFile | StoredAsset | Answer
"""One file of an upload: what is planned before anything is asked, found before anything is stored, and sent."""


def to_send(
    names: Sequence[str],
    *,
    own: Sequence[str],
    assets: Sequence[str],
    answers: Sequence[str],
    headers: Sequence[str],
    name: str | None,
) -> list[Sent]:
    """From the arguments of `put`: each file with its target and its name. Raises CliError."""
    *files, to = names or [""]
    sent: list[Sent] = [LocalFile(each) for each in files]
    sent += [_with_own_target(each) for each in own]
    sent += [_stored_asset(each) for each in assets]
    sent += [_answer(each, headers) for each in answers]
    if headers and not answers:
        raise CliError("--header belongs to --from: it is of the requests that are made there")
    if sum(isinstance(each, LocalFile) and each.file == "-" for each in sent) > 1:
        raise CliError("standard input (-) can be one file only")
    return _named(_targeted(sent, to), name)


def _targeted(sent: Sequence[Sent], to: str) -> list[Sent]:
    without = sum(not each.target for each in sent)
    if not sent and to and not to.endswith("/"):
        raise CliError(f"TO is missing: say where {to} goes, as the last argument (a folder ends with /)")
    if not sent:
        raise CliError("nothing to send: say FILE… and then where they go, or --file, --asset or --from")
    if without and not to:
        raise CliError("where to? Say TO as the last argument, or a TARGET= in front of each --asset and --from")
    if to and not without:
        raise CliError(f"nothing goes to {to}: each file has a target of its own")
    if without > 1 and not to.endswith("/") and "{name}" not in to:
        raise CliError(f"{without} files cannot all be called {to}: name a folder, with / at its end")
    return [each if each.target else replace(each, target=to) for each in sent]


def _named(sent: Sequence[Sent], name: str | None) -> list[Sent]:
    """`name` is what standard input is called; where there is none, what the only file is."""
    unnamed = [each for each in sent if isinstance(each, LocalFile) and each.file == "-"] or sent
    if name is None:
        return [_by_itself(each) for each in sent]
    if len(unnamed) > 1:
        raise CliError("--name is what one file is called, and these are several: --file TARGET=FILE names each")
    called = _checked("--name", name)
    return [replace(each, name=called) if each is unnamed[0] else _by_itself(each) for each in sent]


def _by_itself(sent: Sent) -> Sent:
    if not isinstance(sent, LocalFile):
        return sent
    if sent.file != "-":
        return replace(sent, name=name_of(sent.file, "rename it, or send it by itself, with --name"))
    called = sent.target.rpartition("/")[2]
    if called in ("", ".") or "{name}" in called:
        raise CliError("standard input has no name: say what it is called with --name, or at the end of TO")
    return replace(sent, name=_checked("TO", called))


def _checked(option: str, name: str) -> str:
    from definitions.asset import check_file_name

    try:
        return check_file_name(name)
    except ValueError as error:
        raise CliError(f"{option}: {error}") from None


def _with_own_target(text: str) -> LocalFile:
    target, equals, file = text.partition("=")
    if not equals or not target or not file:
        raise CliError(f"--file {text!r}: expected TARGET=FILE, such as in/march.csv=report.csv")
    return LocalFile(file, _below_root("--file", target))


def _stored_asset(text: str) -> StoredAsset:
    target, equals, digits = text.rpartition("=")
    if not _DIGITS.fullmatch(digits) or bool(target) != bool(equals):
        raise CliError(f"--asset {text!r}: expected SHA256, its first 8 digits at least, or TARGET=SHA256")
    return StoredAsset(digits, _below_root("--asset", target))


def _answer(text: str, headers: Sequence[str]) -> Answer:
    target, equals, rest = ("", "", text) if _ANSWER.match(text) else text.partition("=")
    adapter, colon, path = rest.partition(":")
    if not adapter or not colon or not path or bool(target) != bool(equals):
        raise CliError(f"--from {text!r}: expected ADAPTER:PATH, such as crm:exports/march.csv, or TARGET=ADAPTER:PATH")
    bare, query = split_path(path)
    source = _valid({"adapter": adapter, "path": bare, "query": query, "headers": pairs("--header", headers)})
    return Answer(source, _below_root("--from", target))


def _valid(source: dict[str, Any]) -> dict[str, Any]:
    from pydantic import ValidationError

    from definitions.sftp import HttpSource

    try:
        HttpSource.model_validate(source)
    except ValidationError as error:
        raise validation_fault(error, {"adapter": "--from", "path": "--from", "headers": "--header"}) from None
    return source


def _below_root(option: str, target: str) -> str:
    from definitions.remote_path import check_remote_path

    try:
        return check_remote_path(target) if target else target
    except ValueError as error:
        raise CliError(f"{option}: {error}") from None
