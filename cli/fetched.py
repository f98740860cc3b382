"""Files that were fetched into assets, written to this machine."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import CliError, Status
from cli.files import counted, is_stdout, write_to, write_whole
from cli.output import note
from cli.progress import progress, size_text

if TYPE_CHECKING:
    from definitions.asset import Asset
    from definitions.sftp import Transferred
    from storage.assets import AssetStore


def check_place(to: str, *, many: bool, as_json: bool) -> None:
    """Before anything is fetched. Raises CliError."""
    if is_stdout(to) and as_json:
        raise CliError("--output json and the content cannot both go to standard output: name a file")
    path = Path(to)
    if is_stdout(to) or path.is_dir():
        return
    into = many or to.endswith("/")
    if into and path.exists():
        raise CliError(f"--to {to}: files are written into a folder, and this is a file")
    missing = path if into else path.parent
    if not missing.is_dir():
        if to.startswith("~/"):  # `mkdir` would make a folder of that name
            raise CliError(f'--to {to}: the shell left ~ as it is, and no folder has that name: write "$HOME" instead')
        wanted = "several files are written into a folder, and " if many else ""
        raise CliError(f"--to {to}: {wanted}there is no folder {missing}: mkdir -p {shlex.quote(str(missing))}")


def check_names(to: str, paths: Sequence[str]) -> None:
    """Before anything is fetched, and perhaps deleted where it was. What a pattern finds is known afterwards only."""
    taken: dict[Path, str] = {}
    for path in [] if is_stdout(to) else paths:
        target, replace = _target(to, path.rstrip("/").rpartition("/")[2])
        if not replace and os.path.lexists(target):
            raise CliError(f"{target} is there already: name the file that is to be written with --to")
        if target in taken:
            raise CliError(
                f"{taken[target]} and {path} would both be written to {target}: fetch them in a command each, "
                "and name the files with --to"
            )
        taken[target] = path


async def write_all(assets: "AssetStore", files: "Sequence[Transferred]", to: str) -> None:
    """Each that can be: their sources may be gone, so that one in the way keeps no other from being written.

    Raises:
        CliError: some could not be written; it tells how to get each.
    """
    failed: list[tuple[Asset, CliError]] = []
    for file in files:
        assert file.asset is not None, "what is fetched becomes an asset"
        try:
            await _write(assets, file.asset, to)
        except CliError as error:
            failed.append((file.asset, error))
    if failed:
        raise _unwritten(failed, len(files))


async def _write(assets: "AssetStore", asset: "Asset", to: str) -> None:
    with progress(asset.name, asset.size) as advance:
        chunks = counted(assets.read(asset), advance)
        if is_stdout(to):
            await write_to(sys.stdout.buffer, chunks)
            return
        target, replace = _target(to, asset.name)
        try:
            await write_whole(target, chunks, replace=replace)
        except OSError as error:
            raise CliError(f"{target} cannot be written ({error.strerror})", Status.FAILED) from None
    note(f"{target}: {size_text(asset.size)}, SHA-256 {asset.sha256}")


def _unwritten(failed: "Sequence[tuple[Asset, CliError]]", count: int) -> CliError:
    told = [f"{error}\nIt was fetched, and is kept: tieline assets get {asset.sha256} FILE" for asset, error in failed]
    if count > 1:
        told.insert(0, f"{len(failed)} of {count} files could not be written")
    unwritten = [{"name": asset.name, "sha256": asset.sha256, "message": str(error)} for asset, error in failed]
    return CliError("\n".join(told), Status.FAILED, unwritten=unwritten)


def _target(to: str, name: str) -> tuple[Path, bool]:
    """The file to write, and whether it may take the place of one: only a name that was said itself does."""
    path = Path(to)
    folder = path.is_dir() or to.endswith("/")
    return (path / name if folder else path), not folder
