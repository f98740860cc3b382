"""`tieline sftp` as it is typed, against a real OpenSSH server: what goes well, and what people type wrong."""

import hashlib
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from examples.externalsystems import Systems
from tests.fixtures.sftp_command import LETTER, Files, files_in
from tests.fixtures.sftp_mistakes import WRONG
from tests.fixtures.sftp_runs import aged
from tests.fixtures.sshd import Sshd
from tests.fixtures.waiting import until

SHA256 = hashlib.sha256(LETTER).hexdigest()
OTHER_SHA256 = hashlib.sha256(b"").hexdigest()


@pytest_asyncio.fixture(scope="module")
async def files(tmp_path_factory: pytest.TempPathFactory, systems: Systems, sshd: Sshd) -> AsyncIterator[Files]:
    async with files_in(tmp_path_factory.mktemp("sftp"), systems, sshd) as made:
        yield made


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_an_account_is_created_with_the_host_key_that_a_person_confirmed(files: Files) -> None:
    shown = await files.tieline("accounts", "host-keys", "partner", "--look", "--output", "json")
    tested = await files.tieline("accounts", "test", "partner")
    unconfirmed = await files.tieline("accounts", "show", "nobody-asked")

    keys = json.loads(shown.output)
    assert [(key["fingerprint"], key["role"]) for key in keys["trusted"]] == [(files.fingerprint, "trusted")]
    assert [key["fingerprint"] for key in keys["offered"] if key["trusted"]] == [files.fingerprint]
    assert len(keys["offered"]) == 3
    assert tested.status == 0
    assert "works (logged in as " in tested.output
    assert unconfirmed.status == 2, "nobody confirmed the keys, so that there is no such account"


async def test_a_file_goes_there_and_comes_back(files: Files) -> None:
    sent = await files("put", "bank", files.letter(), "there/")
    aged(files.root / "there")
    fetched = await files("get", "bank", "there/letter.txt", "--to", str(files.local / "back.txt"))

    assert (sent.status, fetched.status) == (0, 0), (sent, fetched)
    assert sent.output == f"there/letter.txt  11 B, SHA-256 {SHA256}\n"
    assert f"sent there/letter.txt: {len(LETTER)} bytes (account partner, as " in sent.errors
    assert (files.root / "there" / "letter.txt").read_bytes() == LETTER
    assert (files.local / "back.txt").read_bytes() == LETTER
    assert _names(files.root / "there") == ["letter.txt"]


async def test_several_files_go_into_a_folder_and_come_back_by_a_pattern(files: Files, tmp_path: Path) -> None:
    sent = await files("put", "bank", files.letter("a.csv"), files.letter("b.csv"), files.letter("c.txt"), "many/")
    aged(files.root / "many")
    fetched = await files("get", "bank", "many/*.csv", "--to", str(tmp_path), "--after", "delete")

    assert (sent.status, fetched.status) == (0, 0), (sent, fetched)
    assert _names(tmp_path) == ["a.csv", "b.csv"]
    assert _names(files.root / "many") == ["c.txt"]


async def test_what_was_fetched_is_written_and_what_was_not_is_listed(files: Files, tmp_path: Path) -> None:
    files.remote("partly/a.csv")
    files.remote("partly/b.csv", b"a longer one than the letter")
    aged(files.root / "partly")
    limit = str(len(LETTER))

    fetched = await files("get", "bank", "partly/*", "--to", str(tmp_path), "--after", "delete", "--max-bytes", limit)

    assert fetched.status == 1
    assert f"partly/a.csv  11 B, SHA-256 {SHA256}" in fetched.output
    assert "partly/b.csv failed (too_large): partly/b.csv has 28 bytes or more" in fetched.errors
    assert (_names(tmp_path), _names(files.root / "partly")) == (["a.csv"], ["b.csv"])


async def test_standard_input_goes_there_and_standard_output_gets_it_back(files: Files) -> None:
    sent = await files("put", "bank", "-", "--name", "typed.txt", "typed/", stdin=LETTER)
    by_path = await files("put", "bank", "-", "typed/other.txt", "--marker", "{name}.done", stdin=LETTER)
    aged(files.root / "typed")
    fetched = await files("get", "bank", "typed/typed.txt", "--to", "-")

    assert (sent.status, by_path.status, fetched.status) == (0, 0, 0), (sent, by_path, fetched)
    assert _names(files.root / "typed") == ["other.txt", "other.txt.done", "typed.txt"]
    assert fetched.output == LETTER.decode()
    assert f"typed/typed.txt  11 B, SHA-256 {SHA256}" in fetched.errors


async def test_files_of_all_kinds_go_each_where_it_is_said_in_one_run(files: Files, systems: Systems) -> None:
    kept = await files.tieline("assets", "put", "-", "--name", "kept.txt", stdin=b"kept")
    digits = kept.output[:8]

    sent = await files.told(
        *("put", "bank", files.letter(), "kinds/", "--file", f"kinds/own/renamed.txt={files.letter()}"),
        *("--asset", digits, "--asset", f"kinds/own/kept.bin={digits}"),
        *("--from", "kinds/parcel.json=parcels:ok/kinds?day=1", "--header", "X-Batch=7"),
    )

    assert _names(files.root / "kinds") == ["kept.txt", "letter.txt", "own", "parcel.json"]
    assert _contents(files.root / "kinds" / "own") == {"kept.bin": b"kept", "renamed.txt": LETTER}
    assert len(sent["sftp"]["files"]) == 5
    (request,) = systems.ledger.requests("/flaky/ok/kinds")
    assert (request.query, "x-batch" in request.headers) == (("day",), True)


async def test_a_file_is_called_as_was_said_whatever_it_is_called_here(files: Files) -> None:
    local = await files("put", "bank", files.letter(), "called/", "--name", "one.txt")
    answer = await files("put", "bank", "called/", "--from", "parcels:ok/called", "--name", "two.json")

    assert (local.status, answer.status) == (0, 0), (local, answer)
    assert _names(files.root / "called") == ["one.txt", "two.json"]


async def test_a_checksum_and_a_marker_stand_beside_the_file(files: Files) -> None:
    letter = files.letter()
    sent = await files(
        "put", "bank", letter, "marked/", "--checksum", "--marker", "{name}.done", "--permissions", "0640"
    )

    assert sent.status == 0, sent
    beside = "its checksum marked/letter.txt.sha256 and its marker marked/letter.txt.done"
    assert sent.errors.endswith(f"marked/letter.txt: {beside}\n")
    assert (files.root / "marked" / "letter.txt.sha256").read_text() == f"{SHA256}  letter.txt\n"
    assert (files.root / "marked" / "letter.txt.done").read_bytes() == b""
    assert (files.root / "marked" / "letter.txt").stat().st_mode & 0o777 == 0o640


async def test_a_run_that_nobody_waits_for_is_asked_for_its_result_later(files: Files) -> None:
    started = await files("put", "bank", files.letter(), "later/", "--no-wait")
    result = await files.tieline("runs", "result", started.output.strip(), "--output", "json")

    told = json.loads(result.output)["sftp"]
    assert (told["success"], told["bytes"], told["sha256"]) == (True, len(LETTER), SHA256)
    assert (told["paths"], told["resumed_from"]) == (["later/letter.txt"], 0)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["ls", "bank"], "entries"),
        (["stat", "bank", "later.txt"], "entries"),
        (["exists", "bank", "nowhere.txt"], "exists"),
        (["mkdir", "bank", "later/made"], "paths"),
        (["cp", "bank", "later.txt", "later/copy.txt"], "paths"),
        (["mv", "bank", "later.txt", "later/moved.txt"], "paths"),
        (["rm", "bank", "later.txt"], "paths"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else each,
)
async def test_nobody_needs_to_wait_for_any_of_the_others_either(files: Files, command: list[str], told: str) -> None:
    files.remote("later.txt")

    started = await files(*command, "--no-wait", "-o", "json")

    assert started.status == 0, started
    result = await files.tieline("runs", "result", json.loads(started.output)["run"], "--output", "json")
    assert json.loads(result.output)["sftp"][told] is not None


async def test_a_second_command_with_the_same_key_finds_the_first_one_s_run(files: Files) -> None:
    first = await files.told("put", "bank", files.letter(), "keyed/", "--key", "invoice-7")
    second = await files.told("put", "bank", files.letter(), "keyed/", "--key", "invoice-7")

    assert (second["run"], second["duplicate"]) == (first["run"], True)


async def test_a_folder_is_listed_in_the_order_that_was_asked_for_a_page_at_a_time(files: Files) -> None:
    files.remote("listed/long.txt", LETTER * 3)
    files.remote("listed/below/short.txt")
    wanted = ("ls", "bank", "listed", "-r", "--kind", "file", "--sort", "size", "--reverse", "--limit", "1")

    first = await files.told(*wanted)
    second = await files.told(*wanted, "--cursor", first["sftp"]["next_cursor"])
    shown = await files("ls", "bank", "listed")

    assert [entry["path"] for entry in first["sftp"]["entries"]] == ["listed/long.txt"]
    assert [entry["path"] for entry in second["sftp"]["entries"]] == ["listed/below/short.txt"]
    assert second["sftp"]["next_cursor"] is None
    assert "2 entries of listed (account partner, as " in shown.errors
    assert [line.split()[:2] for line in shown.output.splitlines()[1:]] == [
        ["listed/below/", "folder"],
        ["listed/long.txt", "file"],
    ]


@pytest.mark.parametrize(("path", "status", "answer"), [("is/there.txt", 0, "yes\n"), ("is/not.txt", 1, "no\n")])
async def test_whether_a_file_exists_is_the_exit_status(files: Files, path: str, status: int, answer: str) -> None:
    files.remote("is/there.txt")

    ran = await files("exists", "bank", path)

    assert (ran.status, ran.output) == (status, answer)


async def test_a_question_whose_run_failed_is_not_answered_with_no(files: Files) -> None:
    (files.root / "out").symlink_to("/etc")

    ran = await files("exists", "bank", "out/passwd")

    assert (ran.status, ran.output) == (5, "")
    assert "out/passwd" in ran.errors


async def test_a_question_whose_run_was_skipped_is_not_answered_either(files: Files) -> None:
    (files.root / "away").symlink_to("/etc")
    question = ("exists", "bank", "away/passwd", "--on-failure", "park", "--key", "skipped")
    run = (await files(*question, "--no-wait")).output.strip()

    async def waits() -> bool:
        shown = await files.tieline("runs", "show", run, "-o", "json")
        return bool(json.loads(shown.output)["state"] == "waiting_for_decision")

    await until(waits)
    await files.tieline("runs", "decide", run, "skip", "--value", "true", "--who", "ann", "--why", "she looked")
    ran = await files(*question)

    assert (ran.status, ran.output) == (5, "true\n")
    assert "skipped by ann: she looked" in ran.errors


@pytest.mark.parametrize("command", ["mv", "cp"])
async def test_no_folder_is_made_on_the_way_to_a_new_name_if_none_may_be(files: Files, command: str) -> None:
    files.remote(f"wayless/{command}.txt")

    refused = await files(command, "bank", f"wayless/{command}.txt", f"{command}-way/to.txt", "--no-folders")
    missing = not (files.root / f"{command}-way").exists()
    done = await files(command, "bank", f"wayless/{command}.txt", f"{command}-way/to.txt")

    assert (refused.status, missing, done.status) == (1, True, 0)


async def test_a_folder_is_made_below_one_that_is_not_there_only_if_that_may_be_made(files: Files) -> None:
    alone = await files("mkdir", "bank", "far/away", "--no-parents")
    with_parents = await files("mkdir", "bank", "far/away")

    assert (alone.status, with_parents.status) == (1, 0), (alone, with_parents)
    assert (files.root / "far" / "away").is_dir()


async def test_a_file_has_the_time_that_was_said(files: Files) -> None:
    sent = await files("put", "bank", files.letter(), "timed/", "--modified", "2026-03-31T08:00+00:00")

    assert sent.status == 0, sent
    assert (files.root / "timed" / "letter.txt").stat().st_mtime == datetime(2026, 3, 31, 8, tzinfo=UTC).timestamp()


async def test_a_name_that_looks_like_a_pattern_can_be_meant_as_it_stands(files: Files, tmp_path: Path) -> None:
    files.remote("odd/a[1].txt")
    files.remote("odd/a1.txt", b"another one")

    fetched = await files("get", "bank", "odd/a[1].txt", "--literal", "--to", str(tmp_path))

    assert fetched.status == 0, fetched
    assert _names(tmp_path) == ["a[1].txt"]


async def test_names_are_made_moved_copied_looked_at_and_deleted(files: Files) -> None:
    letter = files.remote("work/letter.txt")

    made = await files("mkdir", "bank", "work/a/b", "--permissions", "0750")
    moved = await files("mv", "bank", "work/letter.txt", "work/a/")
    copied = await files("cp", "bank", "work/a/letter.txt", "work/copy.txt")
    looked = await files.told("stat", "bank", "work/copy.txt")
    full = await files("rm", "bank", "work/a")
    deleted = await files("rm", "bank", "work/a", "--recursive")

    assert [each.status for each in (made, moved, copied, full, deleted)] == [0, 0, 0, 1, 0]
    assert looked["sftp"]["entries"][0]["size"] == len(LETTER)
    assert "the folder is not empty" in full.errors
    assert not letter.exists()
    assert _names(files.root / "work") == ["copy.txt"]


async def test_a_file_that_is_there_stops_an_upload_unless_something_else_was_said(files: Files) -> None:
    there = files.remote("taken/letter.txt", b"another one")

    refused = await files("put", "bank", files.letter(), "taken/")
    before = there.read_bytes()
    replaced = await files("put", "bank", files.letter(), "taken/", "--overwrite", "replace")
    skipped = await files("put", "bank", files.letter(), "taken/", "--overwrite", "skip_if_same")

    assert (refused.status, replaced.status, skipped.status) == (1, 0, 0)
    assert "taken/letter.txt is there already" in refused.errors
    assert (before, there.read_bytes()) == (b"another one", LETTER)
    assert "taken/letter.txt was there already, with the same content" in skipped.errors


async def test_a_pattern_that_nothing_fits_fetches_nothing_and_says_so(files: Files, tmp_path: Path) -> None:
    files.remote("some/letter.txt")

    ran = await files("get", "bank", "some/*.csv", "--to", str(tmp_path))

    assert ran.status == 0
    assert "no file fits" in ran.errors
    assert _names(tmp_path) == []


async def test_a_local_file_is_replaced_only_when_it_is_named(files: Files, tmp_path: Path) -> None:
    aged(files.remote("both/letter.txt"))
    mine = tmp_path / "letter.txt"
    mine.write_text("mine")

    into_folder = await files("get", "bank", "both/letter.txt", "--to", str(tmp_path), "--after", "delete")
    kept, still_there = mine.read_text(), (files.root / "both" / "letter.txt").exists()
    by_pattern = await files("get", "bank", "both/*", "--to", str(tmp_path))
    by_name = await files("get", "bank", "both/letter.txt", "--to", str(mine))

    assert (into_folder.status, by_pattern.status, by_name.status) == (2, 1, 0)
    assert (kept, still_there) == ("mine", True)
    assert f"It was fetched, and is kept: tieline assets get {SHA256} FILE" in by_pattern.errors
    assert mine.read_bytes() == LETTER


async def test_a_file_in_the_way_of_one_keeps_no_other_from_being_written(files: Files, tmp_path: Path) -> None:
    contents = {"1.csv": b"one", "2.csv": b"two", "3.csv": b"three"}
    for name, content in contents.items():
        aged(files.remote(f"three/{name}", content))
    for name in ("1.csv", "3.csv"):
        (tmp_path / name).write_text("mine")

    files.remote("three-done/2.csv", b"in the way")

    ran = await files(
        *("get", "bank", "three/*", "--to", str(tmp_path), "--after", "move", "--move-to", "three-done/", "-o", "json")
    )

    told = json.loads(ran.output)["error"]
    assert (ran.status, told["exit_status"]) == (1, 1)
    assert _contents(tmp_path) == {"1.csv": b"mine", "2.csv": b"two", "3.csv": b"mine"}
    assert told["message"].startswith("2 of 3 files could not be written\n")
    for name in ("1.csv", "3.csv"):
        assert f"tieline assets get {hashlib.sha256(contents[name]).hexdigest()} FILE" in told["message"]
    assert [each["name"] for each in told["unwritten"]] == ["1.csv", "3.csv"]
    assert re.fullmatch("run-[0-9a-f]{32}", told["run"])
    assert [each["path"] for each in told["result"]["sftp"]["failed"]] == ["three/2.csv"]


async def test_content_with_another_hash_than_it_should_have_is_not_written(files: Files, tmp_path: Path) -> None:
    aged(files.remote("hashed/letter.txt"))

    wrong = await files("get", "bank", "hashed/letter.txt", "--to", str(tmp_path), "--sha256", OTHER_SHA256)
    right = await files("get", "bank", "hashed/letter.txt", "--to", str(tmp_path), "--sha256", SHA256)

    assert (wrong.status, right.status) == (1, 0)
    assert "hashed/letter.txt has another SHA-256 than it should" in wrong.errors


@pytest.mark.parametrize(("arguments", "status", "told"), WRONG.values(), ids=WRONG)
async def test_what_people_type_wrong_is_answered_with_what_is_wrong(
    files: Files, arguments: list[str], status: int, told: str
) -> None:
    files.remote("folder/file.txt")
    letter = files.letter()

    ran = await files(*(letter if each == "LETTER" else each for each in arguments))

    assert (ran.status, ran.output) == (status, "")
    assert told in ran.errors
    assert "Traceback" not in ran.errors


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["bnak", "FILE"], id="the server's"),
        pytest.param(["bank", "FILE", "--from", "crmm:/x"], id="a source's"),
    ],
)
async def test_nothing_is_stored_for_an_adapter_that_is_not_there(
    files: Files, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "in-vain.txt").write_bytes(b"in vain")
    typed = [str(tmp_path / "in-vain.txt") if each == "FILE" else each for each in arguments]

    ran = await files("put", *typed, "in/")
    kept = await files.tieline("assets", "list")

    assert ran.status == 2
    assert kept.status == 0
    assert "in-vain.txt" not in kept.output


@pytest.mark.parametrize("place", ["-", "/dev/stdout"])
async def test_json_and_content_do_not_share_standard_output(files: Files, place: str) -> None:
    ran = await files("get", "bank", "letter.txt", "--to", place, "--output", "json")

    assert ran.status == 2
    assert "cannot both go to standard output" in json.loads(ran.output)["error"]["message"]
