"""SFTP through the front door: accounts with their host keys, files in and out, and a key to be decided about."""

import hashlib
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import asyncssh
import httpx2
import pytest
import pytest_asyncio

from auth.host_key_lines import fingerprint
from examples.externalsystems import Systems
from runtime.assembly import open_worker
from runtime.profiles import bind
from runtime.temporal_server import TemporalAddress
from tests.fixtures.gateway import Gateway, opened_gateway
from tests.fixtures.sftp_runs import ADAPTER, SftpWorld, aged, open_sftp_world
from tests.fixtures.sshd import Sshd
from tests.fixtures.tieline import PROFILE
from tests.fixtures.waiting import until

TWICE = [
    {"source": {"type": "asset", "asset": {"sha256": digit * 64, "size": 1, "name": "a.csv"}}, "path": path}
    for digit, path in (("0", "in/"), ("1", "/in/{name}"))
]


@pytest_asyncio.fixture(scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, temporal_server: TemporalAddress, systems: Systems, sshd: Sshd
) -> AsyncIterator[SftpWorld]:
    """An installation with a worker, whose adapter `bank` leads to an OpenSSH server; one for all tests here."""
    folder = tmp_path_factory.mktemp("gateway-sftp")
    async with (
        open_sftp_world(folder, temporal_server.address, systems, sshd) as opened,
        open_worker(opened.tieline.stores, opened.tieline.client),
    ):
        yield opened


@pytest_asyncio.fixture(scope="module")
async def door(world: SftpWorld) -> AsyncIterator[Gateway]:
    """Its front door."""
    async with opened_gateway(world.tieline) as opened:
        yield opened


async def run(door: Gateway, profile: str = PROFILE, adapter: str = ADAPTER, **operation: Any) -> httpx2.Response:
    body = {"profile": profile, "operation": {"adapter": adapter, **operation}, "wait": 30}
    return await door.http.post("/v1/runs", json=body)


async def test_a_file_goes_in_over_http_and_out_over_sftp_and_back(door: Gateway, world: SftpWorld) -> None:
    content = os.urandom(300_000)
    put = await door.http.post("/v1/assets", params={"name": "march.csv"}, content=content)
    assert put.status_code == 201, put.text
    asset = {name: put.json()[name] for name in ("sha256", "size", "name", "media_type")}

    files = [{"source": {"type": "asset", "asset": asset}, "path": "outbox/"}]
    sent = await run(door, type="sftp.upload", files=files, checksum_file=True)
    assert sent.status_code == 200, sent.text
    result = sent.json()["result"]["sftp"]
    assert result["success"] is True
    assert result["paths"] == ["outbox/march.csv"]
    assert (result["bytes"], result["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert world.names() == ["outbox/march.csv", "outbox/march.csv.sha256"]

    aged(world.folder / "outbox")
    fetched = await run(door, type="sftp.download", paths=["outbox/march.csv"], after="delete")
    [file] = fetched.json()["result"]["sftp"]["files"]
    back = await door.http.get(f"/v1/assets/{file['asset']['sha256']}/content")
    assert back.content == content
    assert world.names() == ["outbox/march.csv.sha256"]


@pytest.mark.parametrize(
    ("operation", "place", "message"),
    [
        ({"type": "sftp.stat", "path": "../x"}, "body.operation.path", "leave the root folder"),
        ({"type": "sftp.stat", "path": "a\nb"}, "body.operation.path", "control character"),
        ({"type": "sftp.lst"}, "body.operation.type", "expected one of 'sftp.upload'"),
        ({"type": "sftp.list", "pth": "x"}, "body.operation.pth", "unknown key; did you mean path?"),
        ({"type": "sftp.list", "sort": "date"}, "body.operation.sort", "expected 'name', 'modified' or 'size'"),
        ({"type": "sftp.stat"}, "body.operation.path", "is missing"),
        ({"type": "sftp.download", "paths": ["x", 5]}, "body.operation.paths[1]", "expected text"),
        (
            {"type": "sftp.download", "paths": ["x"], "after": "move"},
            "body.operation",
            "after: move and move_to belong",
        ),
        ({"type": "sftp.upload", "files": TWICE}, "body.operation", "two files of the run are to become in/a.csv"),
    ],
)
async def test_what_is_wrong_with_an_operation_is_told_by_its_place(
    door: Gateway, operation: dict[str, Any], place: str, message: str
) -> None:
    answer = await run(door, **operation)
    assert answer.status_code == 422
    [fault] = answer.json()["errors"]
    assert fault["place"] == place
    assert message in fault["message"]
    assert "Value error" not in answer.text


async def test_an_operation_of_the_other_protocol_is_refused_before_it_starts(door: Gateway) -> None:
    over_http = await run(door, adapter="crm", type="sftp.list")
    over_sftp = await run(door, method="GET", path="/x")
    assert [each.status_code for each in (over_http, over_sftp)] == [422, 422]
    assert [each.json()["category"] for each in (over_http, over_sftp)] == ["unfit", "unfit"]
    assert "which is HTTP" in over_http.json()["detail"]
    assert "which is SFTP" in over_sftp.json()["detail"]


async def test_no_caller_is_told_where_the_server_keeps_its_files(door: Gateway, world: SftpWorld) -> None:
    asset = await world.keep(b"a letter")
    folder = world.tieline.stores.settings.data_dir
    (folder / "assets" / asset.sha256[:2] / asset.sha256).write_bytes(b"A letter")

    files = [{"source": {"type": "asset", "asset": asset.model_dump()}, "path": "letter.txt"}]
    failed = await run(door, type="sftp.upload", files=files)
    path = f"/v1/runs/{failed.json()['run']}"
    read = await door.http.get(f"/v1/assets/{asset.sha256}/content")
    answers = [failed, await door.http.get(path), await door.http.get(f"{path}/history"), read]

    assert [each.status_code for each in answers] == [424, 200, 200, 500]
    assert (failed.json()["category"], read.json()["category"]) == ("asset_damaged", "asset_damaged")
    assert "in TIELINE_DATA_DIR/assets was altered" in failed.json()["detail"]
    assert [each.text for each in answers if str(folder) in each.text] == []


@pytest.mark.parametrize(
    ("source", "category", "told"),
    [
        ("nope", "unbound", "adapter 'nope': there is none"),
        (ADAPTER, "unfit", "adapter 'bank', from which a file is to come, leads to integration 'bank', which is SFTP"),
    ],
)
async def test_an_upload_from_an_adapter_that_cannot_be_asked_is_refused_before_it_starts(
    door: Gateway, source: str, category: str, told: str
) -> None:
    files = [{"source": {"type": "http", "adapter": source, "path": "/x"}, "path": "x.csv"}]
    refused = await run(door, type="sftp.upload", files=files)
    assert (refused.status_code, refused.json()["category"]) == (422, category)
    assert told in refused.json()["detail"]


@pytest.mark.parametrize(
    ("source", "category", "told"),
    [
        ("nope", "unbound", "adapter 'nope': there is none"),
        ("crm", "unfit", "adapter 'crm', from which the body is to come, leads to integration 'crm', which is HTTP"),
    ],
)
async def test_a_body_from_an_adapter_that_holds_no_files_is_refused_before_it_starts(
    door: Gateway, source: str, category: str, told: str
) -> None:
    body = {"type": "sftp", "adapter": source, "path": "x.csv"}
    refused = await run(door, adapter="crm", method="POST", path="/x", body=body)
    assert (refused.status_code, refused.json()["category"]) == (422, category)
    assert told in refused.json()["detail"]


async def test_a_run_that_waits_with_a_changed_key_goes_on_when_it_is_trusted_over_http(
    door: Gateway, sshd: Sshd
) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode()
    put = await door.http.put(f"/v1/accounts/{ADAPTER}/host-keys", json={"keys": [other], "why": "a test"})
    assert put.status_code == 200, put.text
    await bind(door.tieline.stores, "other", ADAPTER, ADAPTER)
    body = {"profile": "other", "operation": {"adapter": ADAPTER, "type": "sftp.list"}}
    run_id = (await door.http.post("/v1/runs", json=body)).json()["id"]
    await until(partial(_is, door, run_id, "waiting_for_decision"), limit=30)

    looked = (await door.http.post(f"/v1/accounts/{ADAPTER}/host-keys/look")).json()["keys"]
    offered = {each["fingerprint"]: each["trusted"] for each in looked}
    assert offered[fingerprint(sshd.public_key())] is False
    history = (await door.http.get(f"/v1/runs/{run_id}/history")).json()["steps"]
    [failure] = [step["failure"] for step in history if step.get("failure")]
    assert failure["host_key"]["presented"] in offered
    assert failure["host_key"]["expected"] == [fingerprint(other)]

    shown = (await door.http.get(f"/v1/runs/{run_id}")).json()
    listed = (await door.http.get("/v1/runs", params={"state": "waiting_for_decision", "account": ADAPTER})).json()
    assert shown["waiting"] == next(run["waiting"] for run in listed["runs"] if run["id"] == run_id)
    assert (shown["waiting"]["account"], shown["waiting"]["host_key"]) == (ADAPTER, failure["host_key"])
    assert f"tieline runs decide {run_id} trust --why TEXT" in shown["waiting"]["next_step"]

    decision = {"action": "trust", "who": "ann", "why": "the bank confirmed it"}
    decided = await door.http.post(f"/v1/runs/{run_id}/decision", json=decision)
    assert decided.status_code == 200, decided.text
    await until(partial(_is, door, run_id, "completed"), limit=30)
    [trusted] = (await door.http.get(f"/v1/accounts/{ADAPTER}/host-keys")).json()["keys"]
    assert (trusted["fingerprint"], trusted["why"]) == (failure["host_key"]["presented"], decision["why"])


async def test_an_account_is_created_with_the_fingerprint_that_its_server_offers(door: Gateway, sshd: Sshd) -> None:
    created = await create(door, sshd, "second", [fingerprint(sshd.public_key())])
    assert created.status_code == 201, created.text
    [kept] = (await door.http.get("/v1/accounts/second/host-keys")).json()["keys"]
    assert kept["key"] == sshd.public_key()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([], "--host-key"),
        (["SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"], "offers no key with the fingerprint"),
        (["ssh-ed25519 nonsense"], "not an OpenSSH public key"),
    ],
)
async def test_an_account_is_not_created_with_keys_that_are_not_its_server_s(
    door: Gateway, sshd: Sshd, keys: list[str], message: str
) -> None:
    refused = await create(door, sshd, "third", keys)
    assert refused.status_code == 422
    assert message in refused.json()["detail"]
    assert (await door.http.get("/v1/accounts/third")).status_code == 404


async def test_an_account_whose_keys_a_person_confirms_is_refused_with_what_its_server_presents(
    door: Gateway, sshd: Sshd
) -> None:
    await declare(door, sshd, "careful", "confirm_first")
    refused = await create(door, sshd, "careful", [], integration="careful")

    assert (refused.status_code, refused.json()["category"]) == (422, "host_keys_unconfirmed")
    offered = {each["key"]: each["fingerprint"] for each in refused.json()["offered"]}
    assert offered[sshd.public_key()] == fingerprint(sshd.public_key())
    assert {each["algorithm"] for each in refused.json()["offered"]} >= {"ssh-ed25519", "ssh-rsa"}

    created = await create(door, sshd, "careful", [offered[sshd.public_key()]], integration="careful")
    assert created.status_code == 201, created.text


async def test_what_is_wrong_with_an_account_is_told_before_its_server_is_asked_for_keys(
    door: Gateway, sshd: Sshd
) -> None:
    parameters = {"parameters": {"folder": {"pattern": "[a-z]+"}}, "base_url": "sftp://127.0.0.1:1/{folder}"}
    await declare(door, sshd, "nowhere", "confirm_first", **parameters)
    unfit = await create(door, sshd, "nowhere", [], integration="nowhere", parameters={"folder": "7"})
    taken = await create(door, sshd, ADAPTER, [], integration="nowhere", parameters={"folder": "in"})
    fit = await create(door, sshd, "nowhere", [], integration="nowhere", parameters={"folder": "in"})

    assert [each.status_code for each in (unfit, taken, fit)] == [422, 409, 502]
    assert "does not match its pattern" in unfit.json()["detail"]


async def test_an_account_whose_server_may_be_anybody_says_so_wherever_it_is_shown(door: Gateway, sshd: Sshd) -> None:
    await declare(door, sshd, "careless", "insecure")
    created = await create(door, sshd, "careless", [], integration="careless")
    accounts = (await door.http.get("/v1/accounts")).json()["accounts"]
    [listed] = [each for each in accounts if each["name"] == "careless"]
    shown = (await door.http.get("/v1/accounts/careless")).json()
    safe = (await door.http.get(f"/v1/accounts/{ADAPTER}")).json()

    assert [each["host_key"] for each in (created.json(), listed, shown)] == ["insecure"] * 3
    assert [len(each["warnings"]) for each in (created.json(), listed, shown)] == [1, 1, 1]
    assert "anybody can be the server" in shown["warnings"][0]
    assert shown["trusted_host_keys"] == 0
    assert (safe["host_key"], safe["trusted_host_keys"], "warnings" in safe) == ("pinned", 1, False)


async def test_a_key_that_was_revoked_is_shown_as_that_and_not_as_trusted(door: Gateway, sshd: Sshd) -> None:
    await declare(door, sshd, "strict", "known_hosts")
    lines = [sshd.known_hosts(), f"@revoked * {sshd.public_key('rsa')}", f"other.example {sshd.public_key('ecdsa')}"]
    created = await create(door, sshd, "strict", lines, integration="strict")
    assert created.status_code == 201, created.text

    confirmed = (await door.http.get("/v1/accounts/strict/host-keys")).json()["keys"]
    looked = (await door.http.post("/v1/accounts/strict/host-keys/look")).json()["keys"]

    assert [each["role"] for each in confirmed] == ["trusted", "revoked", "unused"]
    assert [each["key"] for each in looked if each["trusted"]] == [sshd.public_key()]
    assert sshd.public_key("rsa") in [each["key"] for each in looked]


async def declare(door: Gateway, sshd: Sshd, key: str, policy: str, **more: Any) -> None:
    document = {
        "kind": "integration",
        "key": key,
        "name": key,
        "base_url": f"sftp://{sshd.place}{sshd.root}",
        "auth": {"type": "sftp", "host_key": policy},
        **more,
    }
    applied = await door.http.post("/v1/definitions", json=document)
    assert applied.status_code == 200, applied.text


async def create(
    door: Gateway, sshd: Sshd, name: str, keys: list[str], integration: str = ADAPTER, **more: Any
) -> httpx2.Response:
    secrets = {"username": sshd.username, "private_key": sshd.text("user")}
    body = {"name": name, "integration": integration, "secrets": secrets, "host_keys": keys, **more}
    return await door.http.post("/v1/accounts", json=body)


async def _is(door: Gateway, run_id: str, state: str) -> bool:
    return bool((await door.http.get(f"/v1/runs/{run_id}")).json()["state"] == state)


async def test_who_may_only_decide_about_runs_may_not_change_what_an_account_trusts(door: Gateway) -> None:
    token = await door.token("runs:decide")
    decision = {"action": "trust", "who": "ann", "why": "no"}
    refused = await door.http.post(f"/v1/runs/run-{'0' * 32}/decision", json=decision, headers=token)
    assert (refused.status_code, refused.json()["category"]) == (403, "insufficient_scope")
