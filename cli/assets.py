"""`tieline assets`: files by reference, which runs send and receive."""

import mimetypes
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CliError
from cli.files import counted, is_stdout, name_of, opened, pieces, size_of, write_to, write_whole
from cli.output import Output, OutputOption, Printer, note
from cli.progress import progress, size_text
from cli.session import with_stores

if TYPE_CHECKING:
    from definitions.asset import Asset
    from runtime.asset_holders import AssetCollection
    from runtime.stores import Stores
    from storage.assets import StoredAsset

SHOWN_DIGITS = 16
SHOWN_ROWS = 50

DigestArgument = Annotated[
    str, typer.Argument(metavar="SHA256", help="Of the content; its first 8 digits or more are enough.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    group = typer.Typer(help="Files that runs send and receive.", no_args_is_help=True)
    group.command("put")(put)
    group.command("get")(get)
    group.command("list")(list_assets)
    group.command("show")(show)
    group.command("gc")(gc)
    app.add_typer(group, name="assets")


def put(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file, or - for standard input.")],
    name: Annotated[str | None, typer.Option(help="What it is called.", show_default="as the file")] = None,
    media_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Such as text/csv.", show_default="by the name")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Keep a file as an asset. The same content is kept once."""
    called = name or ("asset" if file == "-" else name_of(file, "say what it is called with --name"))
    kind = media_type or mimetypes.guess_type(called)[0] or "application/octet-stream"

    async def keep(stores: "Stores") -> "Asset":
        from storage.assets import USER

        with opened(file) as source, progress(called, size := size_of(source)) as advance:
            return await stores.assets.put(
                pieces(source, advance), name=called, media_type=kind, holder=USER, about=size
            )

    asset = _checked(lambda: with_stores(keep))
    printer = Printer(output)
    if printer.json:
        printer.document(asset)
        return
    printer.line(asset.sha256)
    note(f"asset {asset.name}: {size_text(asset.size)}, {asset.media_type}")


def get(
    sha256: DigestArgument,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="Where to write it, or - for standard output.", show_default="its name"),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Write an asset to a file, which is there whole or not at all. Its own name never replaces a file."""
    printer = Printer(output)
    to_stdout = file is not None and is_stdout(file)
    if printer.json and to_stdout:
        raise CliError("--output json and the content cannot both go to standard output: name a file")

    async def fetch(stores: "Stores") -> "tuple[Asset, str]":
        asset = (await stores.assets.info(await stores.assets.resolve(sha256))).asset()
        with progress(asset.name, asset.size) as advance:
            chunks = counted(stores.assets.read(asset), advance)
            if to_stdout:
                await write_to(sys.stdout.buffer, chunks)
            else:
                await write_whole(Path(file or asset.name), chunks, replace=file is not None)
        return asset, file or asset.name

    asset, written = with_stores(fetch)
    if printer.json:
        printer.document({**asset.model_dump(), "file": written})
    elif not to_stdout:
        printer.line(written)
        note(f"{size_text(asset.size)}, {asset.media_type}, whole: its SHA-256 was checked")


def list_assets(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """List assets, the newest first."""
    found = with_stores(lambda stores: stores.assets.list(limit=limit))
    printer = Printer(output)
    if printer.json:
        printer.document([_as_json(asset) for asset in found])
        return
    rows = [
        (each.sha256[:SHOWN_DIGITS], each.name, size_text(each.size), each.media_type, _time(each.created_at))
        for each in found
    ]
    printer.table(
        ("SHA256", "NAME", "SIZE", "TYPE", "CREATED"), rows, empty="There is no asset: tieline assets put FILE"
    )


def show(sha256: DigestArgument, output: OutputOption = Output.TABLE) -> None:
    """Show what is known of an asset, and who needs it."""
    from definitions.plural import plural

    async def look(stores: "Stores") -> "StoredAsset":
        return await stores.assets.info(await stores.assets.resolve(sha256))

    asset = with_stores(look)
    printer = Printer(output)
    if printer.json:
        printer.document(_as_json(asset))
        return
    printer.fields(
        {
            "sha256": asset.sha256,
            "name": asset.name,
            "media type": asset.media_type,
            "size": f"{plural(asset.size, 'byte')} ({size_text(asset.size)})",
            "created": _time(asset.created_at),
        }
    )
    printer.line()
    rows = [(each.name, _time(each.since), _time(each.until)) for each in asset.holders]
    printer.table(("HELD BY", "SINCE", "AT LEAST UNTIL"), rows, empty="Nothing needs it: the next collection takes it.")


def gc(
    yes: Annotated[
        bool, typer.Option("--yes", "--delete", "-y", help="Delete it; without this it is only listed.")
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Also what other installations may have put there: from now on none does, but this one."
        ),
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Find what nothing needs any more: files and payloads whose runs are over and whose retention has passed, drafts
    that nobody goes on with, content that the database does not know."""

    async def collect(stores: "Stores") -> "AssetCollection":
        from runtime.asset_holders import collect_assets

        return await collect_assets(stores, delete=yes, take_over=take_over)

    collected = with_stores(collect)
    printer = Printer(output)
    if printer.json:
        printer.document(collected)
        return
    rows = [
        (each.kind, each.id[:SHOWN_DIGITS], each.name, size_text(each.size), each.why)
        for each in collected.garbage[:SHOWN_ROWS]
    ]
    printer.table(("KIND", "ID", "NAME", "SIZE", "WHY"), rows, empty="There is nothing to collect.")
    if len(collected.garbage) > SHOWN_ROWS:
        printer.line(f"… and {len(collected.garbage) - SHOWN_ROWS} more: --output json has all")
    if collected.garbage:
        from definitions.plural import plural

        counts = Counter(each.kind for each in collected.garbage)
        told = ", ".join(
            f"{count} unfinished" if kind == "unfinished" else plural(count, kind) for kind, count in counts.items()
        )
        note(f"{told}: {size_text(collected.bytes)} " + ("deleted" if yes else "would go; --yes deletes them"))
    if collected.temporal:
        note(f"{collected.kept} more stay, held by runs that Temporal could not be asked about: {collected.temporal}")
    if collected.left:
        note(f"{collected.left} more stay ({size_text(collected.left_bytes)}): {collected.left_because}")


def _as_json(asset: "StoredAsset") -> dict[str, Any]:
    return {
        **asset.asset().model_dump(),
        "created_at": _time(asset.created_at),
        "holders": [
            {"holder": each.name, "since": _time(each.since), "until": _time(each.until)} for each in asset.holders
        ],
    }


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _checked(work: "Callable[[], Asset]") -> "Asset":
    """What an asset cannot be called, in the words of the command line."""
    from pydantic import ValidationError

    from cli.arguments import validation_fault

    try:
        return work()
    except ValidationError as error:
        raise validation_fault(error, {"name": "--name", "media_type": "--media-type"}) from None
