"""Files as bodies and answers as files, at the command line."""

import hashlib
import json
import uuid
from pathlib import Path

import pytest

from tests.fixtures.commandline import Tieline


def fresh(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def test_an_answer_is_saved_to_a_file_and_kept_as_an_asset(tieline_up: Tieline, tmp_path: Path) -> None:
    file = tmp_path / "answer.json"

    ran = await tieline_up("call", "parcels", "GET", f"ok/{fresh('lamp')}", "--save", str(file))

    saved = file.read_bytes()
    digest = hashlib.sha256(saved).hexdigest()
    shown = await tieline_up("assets", "show", digest[:12], "--output", "json")
    assert (ran.status, ran.output) == (0, f"{file}\n")
    assert json.loads(saved)["status"] == 200
    assert f"application/json, SHA-256 {digest}" in ran.errors
    assert json.loads(shown.output)["size"] == len(saved)


async def test_an_answer_goes_to_standard_output_as_it_came(tieline_up: Tieline) -> None:
    ran = await tieline_up("call", "parcels", "GET", f"ok/{fresh('lamp')}", "--save", "-")

    assert ran.status == 0
    assert json.loads(ran.output)["status"] == 200


async def test_an_answer_that_became_an_asset_says_how_to_have_it(tieline_up: Tieline) -> None:
    ran = await tieline_up("call", "parcels", "GET", f"ok/{fresh('lamp')}", "--answer", "asset")

    digest = ran.output.strip()
    assert (ran.status, len(digest)) == (0, 64)
    assert f"application/json; to have it: tieline assets get {digest[:16]}" in ran.errors


async def test_an_asset_is_sent_by_the_beginning_of_its_digest(tieline_up: Tieline, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_bytes(b"a;b\n" * 1000)
    digest = (await tieline_up("assets", "put", str(tmp_path / "orders.csv"))).output.strip()

    ran = await tieline_up("call", "parcels", "POST", f"ok/{fresh('lamp')}", "--asset", digest[:12])
    shown = await tieline_up("assets", "show", digest, "--output", "json")

    assert ran.status == 0
    assert json.loads(ran.output)["effects"] == 1
    run_id = ran.errors.split()[0]
    assert run_id in [holder["holder"] for holder in json.loads(shown.output)["holders"]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--asset", "0123456789ab"), "no asset"),
        (("--save", "x", "--no-wait"), "--save waits for the answer"),
        (("--save", "x", "--answer", "value"), "leave --answer out"),
        (("--save", "-", "--output", "json"), "cannot both go to standard output"),
    ],
)
async def test_what_cannot_be_done_starts_no_run(tieline_up: Tieline, options: tuple[str, ...], words: str) -> None:
    ran = await tieline_up("call", "parcels", "POST", f"ok/{fresh('lamp')}", *options)

    assert ran.status != 0
    assert words in ran.errors + ran.output
    assert "run-" not in ran.errors
