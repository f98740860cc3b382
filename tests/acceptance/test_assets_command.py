"""`tieline assets` as it is typed; no server is needed."""

import asyncio
import hashlib
import json
import signal
import sys
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fixtures.assets import CONTENT, backdate, blobs, drafts
from tests.fixtures.commandline import Tieline
from tests.fixtures.databases import migrated_sqlite
from tests.fixtures.s3 import ACCESS_KEY_ID, SECRET, S3Server
from tests.fixtures.waiting import until

DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest_asyncio.fixture
async def tieline(tmp_path: Path) -> Tieline:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    await migrated_sqlite(folder / "tieline.db")
    return Tieline(folder, {"TIELINE_DATA_DIR": str(folder)})


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    return written(tmp_path / "orders.csv", CONTENT)


def written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def content_of(file: Path) -> bytes:
    return file.read_bytes()


def size_of(file: Path) -> int:
    return file.stat().st_size


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_file_is_put_shown_listed_and_written_again(tieline: Tieline, orders: Path, tmp_path: Path) -> None:
    put = await tieline("assets", "put", str(orders))
    shown = await tieline("assets", "show", DIGEST[:8])
    listed = await tieline("assets", "list")
    got = await tieline("assets", "get", DIGEST[:12], str(tmp_path / "copy.csv"))

    assert (put.status, put.output, put.errors) == (0, f"{DIGEST}\n", "asset orders.csv: 512.0 KiB, text/csv\n")
    assert "524288 bytes" in shown.output
    assert "user" in shown.output
    assert "orders.csv  512.0 KiB  text/csv" in listed.output
    assert got.status == 0
    assert (tmp_path / "copy.csv").read_bytes() == CONTENT


async def test_for_programs_everything_is_one_document(tieline: Tieline, orders: Path, tmp_path: Path) -> None:
    reference = {"sha256": DIGEST, "size": len(CONTENT), "name": "june", "media_type": "text/plain"}
    options = ("--name", "june", "--media-type", "text/plain", "-o", "json")

    assert json.loads((await tieline("assets", "put", str(orders), *options)).output) == reference
    [listed] = json.loads((await tieline("assets", "list", "-o", "json")).output)
    shown = json.loads((await tieline("assets", "show", DIGEST, "-o", "json")).output)
    got = json.loads((await tieline("assets", "get", DIGEST, str(tmp_path / "june"), "-o", "json")).output)

    assert shown == listed
    assert reference.items() <= shown.items()
    assert [holder["holder"] for holder in shown["holders"]] == ["user"]
    assert got == {**reference, "file": str(tmp_path / "june")}


async def test_an_asset_goes_through_pipes(tieline: Tieline) -> None:
    put = await tieline("assets", "put", "-", "--name", "piped.txt", stdin=b"through a pipe")
    got = await tieline("assets", "get", put.output.strip(), "-")
    assert (got.status, got.output, got.errors) == (0, "through a pipe", "")


async def test_ctrl_c_ends_a_put_that_waits_for_standard_input(tieline: Tieline) -> None:
    process = await tieline.start("assets", "put", "-", "--name", "piped.txt")
    assert process.stdin is not None
    process.stdin.write(b"some of it")
    await until(lambda: bool(drafts(tieline.folder / "assets")))

    process.send_signal(signal.SIGINT)
    status = await asyncio.wait_for(process.wait(), 10)  # its input is open all the while
    _, errors = await process.communicate()

    assert (status, errors) == (130, b"")
    assert drafts(tieline.folder / "assets") == []


async def test_its_own_name_never_replaces_a_file_and_a_given_one_does(
    tieline: Tieline, orders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tieline("assets", "put", str(orders))
    monkeypatch.chdir(tmp_path)
    written(orders, b"mine")

    refused = await tieline("assets", "get", DIGEST)
    kept = content_of(orders)
    replaced = await tieline("assets", "get", DIGEST, "orders.csv")

    assert (refused.status, refused.errors) == (
        2,
        "error: orders.csv is there already: name the file that is to be written\n",
    )
    assert kept == b"mine"
    assert replaced.status == 0
    assert content_of(orders) == CONTENT


async def test_of_a_damaged_asset_no_file_is_written(tieline: Tieline, orders: Path, tmp_path: Path) -> None:
    await tieline("assets", "put", str(orders))
    (blob,) = blobs(tieline.folder / "assets")
    blob.write_bytes(b"y" * len(CONTENT))

    got = await tieline("assets", "get", DIGEST, str(tmp_path / "copy.csv"))

    assert got.status == 1
    assert "was altered: restore it from a backup" in got.errors
    assert names_in(tmp_path) == ["data", "orders.csv"]


async def test_what_nothing_needs_is_listed_first_and_deleted_when_told(tieline: Tieline, orders: Path) -> None:
    await tieline("assets", "put", str(orders), asset_retention="0.001s")

    listed = await tieline("assets", "gc")
    still = await tieline("assets", "show", DIGEST)
    deleted = json.loads((await tieline("assets", "gc", "--yes", "-o", "json")).output)
    nothing = await tieline("assets", "gc", "--yes")

    assert f"file  {DIGEST[:16]}  orders.csv  512.0 KiB" in listed.output
    assert listed.errors == "1 file: 512.0 KiB would go; --yes deletes them\n"
    assert still.status == 0
    assert deleted["deleted"] is True
    assert deleted["bytes"] == len(CONTENT)
    assert [each["id"] for each in deleted["garbage"]] == [DIGEST]
    assert nothing.output == "There is nothing to collect.\n"
    assert blobs(tieline.folder / "assets") == []


async def test_with_another_database_nothing_is_deleted_unless_somebody_says_whose_the_files_are(
    tieline: Tieline, orders: Path, tmp_path: Path
) -> None:
    await tieline("assets", "put", str(orders))
    (blob,) = blobs(tieline.folder / "assets")
    backdate(blob, 2)
    other = f"sqlite+aiosqlite:///{tmp_path}/other.db"

    refused = await tieline("assets", "gc", "--yes", database_url=other)
    kept = blobs(tieline.folder / "assets")
    examined = await tieline("doctor", database_url=other)
    listed = await tieline("assets", "gc", "--take-over", database_url=other)
    deleted = json.loads(
        (await tieline("assets", "gc", "--take-over", "--yes", "-o", "json", database_url=other)).output
    )

    assert (refused.status, refused.output) == (0, "There is nothing to collect.\n")
    assert f"1 more stay (512.0 KiB): {tieline.folder}/assets also holds files of another" in refused.errors
    assert "wrong        assets" in examined.output
    assert kept == [blob]
    assert f"orphan  {DIGEST[:16]}" in listed.output
    assert listed.errors.startswith("1 orphan: 512.0 KiB would go")
    assert (deleted["found"], deleted["left"], deleted["left_because"]) == (1, 0, None)
    assert blobs(tieline.folder / "assets") == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("put", "nowhere.csv"), "nowhere.csv cannot be read (No such file or directory)"),
        (("put", "/"), "/ cannot be read (Is a directory)"),
        (("put", "new\nline"), r"'new\nline' cannot be kept under its name: the name of a file holds no slash"),
        (("put", "-", "--name", "../x"), "--name: the name of a file holds no slash"),
        (("put", "-", "--media-type", "text"), "--media-type: "),
        (("get", "0" * 64), "there is no asset 000000000000…"),
        (("get", "0" * 7), "give 8 digits of its SHA-256 at least"),
        (("show", "z" * 8), "'zzzzzzzz' names no asset: a SHA-256 is 64 hexadecimal digits"),
        (("get", "0" * 64, "-", "-o", "json"), "cannot both go to standard output"),
        (("show", "../../etc/passwd"), "names no asset"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else "",
)
async def test_what_cannot_be_done_is_told(tieline: Tieline, arguments: tuple[str, ...], told: str) -> None:
    ran = await tieline("assets", *arguments, stdin=b"x")
    assert ran.status == 2
    assert told in ran.output + ran.errors


async def test_a_folder_that_cannot_be_used_is_told(tieline: Tieline, orders: Path) -> None:
    (tieline.folder / "assets").write_text("a file where the folder should be")
    ran = await tieline("assets", "put", str(orders))
    assert "unreachable  assets" in (await tieline("doctor")).output
    assert ran.status == 3
    assert f"no file can be made in {tieline.folder}/assets/staging: it is no folder" in ran.errors


PEAKS = """
import resource, sys
from cli.app import run

folder, digest = sys.argv[1:]
for command in (["list"], ["put", f"{folder}/large"], ["get", digest, f"{folder}/copy"]):
    assert run(["assets", *command, "-o", "json"]) == 0
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""
"""KiB that the process took at most, after each command."""


async def test_a_large_file_crosses_in_constant_memory(tieline: Tieline, tmp_path: Path) -> None:
    size = 48 * 1024 * 1024
    written(tmp_path / "large", bytes(size))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PEAKS, str(tmp_path), hashlib.sha256(bytes(size)).hexdigest()),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=tieline.environment_with({}),
        cwd=Path(__file__).parents[2],
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors

    idle, putting, getting = map(int, errors.split())
    assert size_of(tmp_path / "copy") == size
    assert max(putting, getting) - idle < 24 * 1024


async def test_a_bucket_takes_the_place_of_the_folder_by_settings_alone(
    tieline: Tieline, orders: Path, s3_server: S3Server
) -> None:
    bucket = s3_server.bucket()
    environment = {
        **tieline.environment,
        "TIELINE_ASSETS_URL": f"s3://{bucket.name}/{bucket.prefix}",
        "TIELINE_ASSETS_ENDPOINT": s3_server.endpoint,
        "TIELINE_ASSETS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "TIELINE_ASSETS_SECRET_ACCESS_KEY": SECRET,
    }
    with_bucket = Tieline(tieline.folder, environment)
    put = await with_bucket("assets", "put", str(orders))
    got = await with_bucket("assets", "get", DIGEST, str(orders.with_name("copy")))
    refused = await with_bucket("assets", "put", str(orders), assets_secret_access_key="planted-wrong")

    doctor = json.loads((await with_bucket("doctor", "-o", "json")).output)
    ill = json.loads((await with_bucket("doctor", "-o", "json", assets_secret_access_key="planted-wrong")).output)

    assert (put.status, got.status, refused.status) == (0, 0, 3)
    assert [line["state"] for line in doctor if line["subject"] == "assets"] == ["ok"]
    assert [line["state"] for line in ill if line["subject"] == "assets"] == ["unreachable"]
    assert content_of(orders.with_name("copy")) == CONTENT
    assert [blob.name for blob in s3_server.blobs(bucket)] == [DIGEST]
    assert blobs(tieline.folder / "assets") == []
    assert "it refused us (SignatureDoesNotMatch)" in refused.errors
    assert "planted" not in refused.output + refused.errors
