"""What one SFTP operation is: everything an app may say about it, what comes back, and nothing secret.

Paths are templates: `{placeholder}` is a parameter of the account, `{name}` the name of the file at hand. They are
relative to the account's root folder and never lead out of it.
"""

import posixpath
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, get_args
from urllib.parse import unquote

from pydantic import AfterValidator, AwareDatetime, Field, field_validator, model_validator

from definitions.asset import Asset, FileName
from definitions.base import KEY_PATTERN, Duration, Model
from definitions.failure_policy import FailurePolicy
from definitions.fields import MediaType, Pairs
from definitions.remote_path import check_remote_path
from definitions.sftp_names import Sent, check_names

MAX_FILES = 1000
"""Of one run: its result stands in the history."""
HARD_MAX_FILE_BYTES = 1024**4
MAX_CURSOR = 12 * 1024
"""It holds the longest path, of which JSON doubles quotes and base64 makes four characters of three bytes."""

RemotePath = Annotated[
    str, AfterValidator(check_remote_path), Field(description="Template of a path below the account's root folder")
]


class HttpSource(Model):
    """The answer to a GET through another adapter of the same profile, streamed on without being kept."""

    type: Literal["http"] = "http"
    adapter: str = Field(pattern=KEY_PATTERN)
    path: str
    query: Pairs = ()
    headers: Pairs = ()
    name: FileName | None = Field(default=None, description="What {name} stands for; else the path's last part")

    @property
    def called(self) -> str:
        """ "" where the path ends with no name."""
        return self.name or unquote(posixpath.basename(self.path.partition("?")[0]))


class AssetSource(Model):
    """A file that Tieline keeps."""

    type: Literal["asset"] = "asset"
    asset: Asset

    @property
    def called(self) -> str:
        return self.asset.name


Source = Annotated[AssetSource | HttpSource, Field(discriminator="type")]


class Overwrite(StrEnum):
    """What an upload does about a file that has the final name already."""

    FAIL = "fail"
    REPLACE = "replace"
    SKIP_IF_SAME = "skip_if_same"


class Verify(StrEnum):
    """How an upload is compared with its source before it gets its final name; the size is always."""

    AUTO = "auto"
    """Read back where an earlier attempt's part of it was gone on with; else every write was acknowledged, and the
    server tells the size. In place (`rename: false`) all that follows an earlier attempt is read back."""
    SIZE = "size"
    READ_BACK = "read_back"


class _Operation(Model):
    """What all of them have."""

    timeout: Duration = Field(default=timedelta(hours=1), description="One attempt, at most")
    stall_after: Duration = Field(default=timedelta(seconds=60), description="Without progress an attempt ends by then")
    on_failure: FailurePolicy = FailurePolicy.FAIL
    give_up_after: Duration = Field(default=timedelta(hours=24), description="All attempts and waits together")
    park_for: Duration = Field(default=timedelta(days=30), description="How long a parked run waits for a decision")


class FileToUpload(Model):
    """One file and where it goes."""

    source: Source
    path: RemotePath = Field(description="The final name; one that ends with / is a folder, and the name is {name}")


class SftpUpload(_Operation):
    """Send files: each is seen under its final name when it is whole, and not before."""

    type: Literal["sftp.upload"]
    files: tuple[FileToUpload, ...] = Field(min_length=1, max_length=MAX_FILES)
    overwrite: Overwrite = Overwrite.FAIL
    make_folders: bool = Field(default=True, description="Folders on the way that are missing are made")
    verify: Verify = Verify.AUTO
    checksum_file: bool = Field(
        default=False, description="Publish NAME.sha256 before the file itself, in the format of sha256sum"
    )
    marker_file: RemotePath | None = Field(
        default=None, description="An empty file that is published after each file, such as {name}.done, beside it"
    )
    permissions: Annotated[str, Field(pattern="^[0-7]{3,4}$")] | None = Field(default=None, description="Octal: 0640")
    modified_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _names_apart(self) -> "SftpUpload":
        taken = {"{name}", "{name}.sha256"} if self.checksum_file else {"{name}"}
        if self.marker_file in taken:
            raise ValueError("marker_file takes the name of the file itself, or of its checksum")
        sent = [Sent(file.path, file.source.called) for file in self.files]
        check_names(sent, checksum_file=self.checksum_file, marker_file=self.marker_file)
        return self

    @property
    def assets(self) -> tuple[Asset, ...]:
        """Those that it sends."""
        return tuple(file.source.asset for file in self.files if isinstance(file.source, AssetSource))


class AfterDownload(StrEnum):
    """What becomes of the source when the asset is safe."""

    KEEP = "keep"
    DELETE = "delete"
    MOVE = "move"


class SftpDownload(_Operation):
    """Fetch files into assets."""

    type: Literal["sftp.download"]
    paths: tuple[RemotePath, ...] = Field(min_length=1, max_length=MAX_FILES)
    glob: bool = Field(default=False, description="The last part of each path is a pattern: *, ?, [a-z]")
    min_age: Duration | None = Field(default=None, description="With glob: leave files alone that changed since")
    after: AfterDownload = AfterDownload.KEEP
    move_to: RemotePath | None = Field(default=None, description="With after: move; / at its end makes it a folder")
    max_bytes: int = Field(default=10 * 1024**3, gt=0, le=HARD_MAX_FILE_BYTES, description="Of one file")
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        default=None, description="What the file must have; with one path only"
    )
    media_type: MediaType | None = Field(default=None, description="Of the assets; else by their names")

    @model_validator(mode="after")
    def _whole(self) -> "SftpDownload":
        if (self.move_to is not None) != (self.after is AfterDownload.MOVE):
            raise ValueError("after: move and move_to belong together")
        if self.min_age is not None and not self.glob:
            raise ValueError("min_age belongs to glob")
        if self.sha256 is not None and (self.glob or len(self.paths) != 1):
            raise ValueError("sha256 belongs to one path")
        return self


class SftpList(_Operation):
    """What a folder holds."""

    type: Literal["sftp.list"]
    path: RemotePath = "."
    glob: str = Field(default="*", min_length=1, max_length=255, description="Of the name: *, ?, [a-z]")
    recursive: bool = False
    kind: Literal["file", "folder", "any"] = "any"
    sort: Literal["name", "modified", "size"] = "name"
    descending: bool = False
    since: AwareDatetime | None = Field(default=None, description="Changed at this instant or later")
    min_age: Duration | None = Field(default=None, description="Leave files out that changed since: half-written ones")
    limit: int = Field(default=200, ge=1, le=MAX_FILES, description="Entries of one page")
    cursor: str | None = Field(default=None, max_length=MAX_CURSOR, description="`next_cursor` of the page before")

    @field_validator("glob")
    @classmethod
    def _of_one_name(cls, value: str) -> str:
        if "/" in value:
            raise ValueError("a pattern is about names: folders stand in path")
        return value


class SftpStat(_Operation):
    """What a file or folder is."""

    type: Literal["sftp.stat"]
    path: RemotePath


class SftpExists(_Operation):
    """Whether there is a file or folder."""

    type: Literal["sftp.exists"]
    path: RemotePath


class SftpMkdir(_Operation):
    """Make a folder; one that is there is no fault."""

    type: Literal["sftp.mkdir"]
    path: RemotePath
    parents: bool = True
    permissions: Annotated[str, Field(pattern="^[0-7]{3,4}$")] | None = None


class SftpMove(_Operation):
    """Give a file or folder another name on the same server."""

    type: Literal["sftp.move"]
    path: RemotePath
    to: RemotePath
    overwrite: Literal["fail", "replace"] = "fail"
    make_folders: bool = True


class SftpDelete(_Operation):
    """Delete a file, or a folder."""

    type: Literal["sftp.delete"]
    path: RemotePath
    recursive: bool = Field(default=False, description="A folder with all that it holds")
    missing_ok: bool = False


class SftpCopy(_Operation):
    """Copy a file on the same server: by the server itself where it offers that, else through Tieline."""

    type: Literal["sftp.copy"]
    path: RemotePath
    to: RemotePath
    overwrite: Overwrite = Overwrite.FAIL
    make_folders: bool = True


SftpOperation = Annotated[
    SftpUpload | SftpDownload | SftpList | SftpStat | SftpExists | SftpMkdir | SftpMove | SftpDelete | SftpCopy,
    Field(discriminator="type"),
]


MODELS: dict[str, type[Model]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(SftpOperation)[0])
}
"""The operations by their `type`."""


class Entry(Model):
    """A file or folder on the server."""

    path: str = Field(description="Below the account's root folder")
    name: str
    kind: Literal["file", "folder", "link", "other"]
    size: int | None = None
    modified: datetime | None = None
    permissions: str | None = Field(default=None, description="Octal")


class Transferred(Model):
    """What became of one file."""

    path: str
    bytes: int
    sha256: str | None = None
    resumed_from: int = Field(default=0, description="Byte at which the last attempt went on")
    verified: Literal["read_back", "acknowledged", "size", "none"] | None = None
    skipped: bool = Field(default=False, description="The same file was there")
    asset: Asset | None = None


class FailedFile(Model):
    """One of several files that failed, while the others were done."""

    path: str
    category: str
    message: str
    sha256: str | None = Field(
        default=None, description="Of its asset: it was fetched, and what was to become of its source was not done"
    )


class Timing(Model):
    """Of the last attempt."""

    started: datetime
    seconds: float
    connected_after: float = Field(description="Seconds until the session could be used")


class SftpResult(Model):
    """What an operation did. Operations that fail have none: their run fails."""

    success: bool = Field(default=True, description="False when some of several files failed")
    message: str
    timing: Timing
    paths: tuple[str, ...] = Field(description="The final names that were written, read or made")
    username: str
    bytes: int = 0
    sha256: str | None = Field(default=None, description="With one file")
    resumed_from: int = Field(default=0, description="With one file")
    files: tuple[Transferred, ...] = ()
    failed: tuple[FailedFile, ...] = ()
    entries: tuple[Entry, ...] | None = None
    next_cursor: str | None = None
    exists: bool | None = None
    account: str
    attempt: int = 1
    notes: tuple[str, ...] = ()


class HostKeyChange(Model):
    """A server that presents another key than the ones that were confirmed. Public keys are no secrets."""

    host: str
    port: int
    algorithm: str
    public_key: str = Field(description="As in known_hosts: type and base64")
    presented: str = Field(description="SHA256 fingerprint")
    expected: tuple[str, ...] = Field(description="SHA256 fingerprints")


def verb_of(operation: SftpOperation) -> str:
    """As summaries show it."""
    return operation.type.removeprefix("sftp.").upper()


def target_of(operation: SftpOperation) -> str:
    """What it is about, as summaries show it: a template, so no customer's value."""
    match operation:
        case SftpUpload(files=files):
            paths = tuple(file.path for file in files)
        case SftpDownload(paths=paths):
            pass
        case _:
            return operation.path
    return paths[0] if len(paths) == 1 else f"{len(paths)} files"
