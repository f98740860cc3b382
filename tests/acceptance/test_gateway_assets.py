"""`/v1/assets`: files streamed in and out of a real front door."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from gateway import limits
from storage.assets.blobs import LocalBlobs
from tests.fixtures.assets import CONTENT, age, blobs, drafts
from tests.fixtures.gateway import Gateway, exchange, head, opened_gateway, status_of
from tests.fixtures.tieline import PROFILE, Installation
from tests.fixtures.waiting import until

DIGEST = hashlib.sha256(CONTENT).hexdigest()


async def put(gateway: Gateway, content: bytes = CONTENT, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await gateway.http.post("/v1/assets?name=orders.csv", content=content, headers=named)


def folder_of(gateway: Gateway) -> Path:
    return gateway.tieline.stores.settings.data_dir / "assets"


def unique() -> bytes:
    return uuid.uuid4().bytes * 1000


async def test_a_file_is_put_looked_at_and_read_again(open_gateway: Gateway) -> None:
    answer = await put(open_gateway, content_type="text/csv; charset=utf-8")
    asset = {"sha256": DIGEST, "size": len(CONTENT), "name": "orders.csv", "media_type": "text/csv; charset=utf-8"}
    assert (answer.status_code, answer.json()) == (201, asset)
    assert answer.headers["location"] == f"/v1/assets/{DIGEST}"

    shown = (await open_gateway.http.get(answer.headers["location"])).json()
    read = await open_gateway.http.get(f"/v1/assets/{DIGEST}/content")

    assert asset.items() <= shown.items()
    assert [holder["holder"] for holder in shown["holders"]] == ["user"]
    assert read.status_code == 200
    assert read.content == CONTENT


async def test_content_is_a_download_and_never_a_page_of_ours(open_gateway: Gateway) -> None:
    content = unique()
    answer = await open_gateway.http.post(
        "/v1/assets", params={"name": 'über "x".html'}, content=content, headers={"Content-Type": "text/html"}
    )
    read = await open_gateway.http.get(f"/v1/assets/{answer.json()['sha256']}/content")

    assert read.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%BCber%20%22x%22.html"
    assert read.headers["content-type"] == "text/html"
    assert read.headers["x-content-type-options"] == "nosniff"
    assert read.headers["content-security-policy"].startswith("default-src 'none'")
    assert read.headers["content-length"] == str(len(content))
    assert read.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=10-19", slice(10, 20)), ("bytes=300000-", slice(300_000, None)), ("bytes=-7", slice(-7, None))],
)
async def test_a_range_is_read_alone(open_gateway: Gateway, asked: str, part: slice) -> None:
    await put(open_gateway)
    read = await open_gateway.http.get(f"/v1/assets/{DIGEST}/content", headers={"Range": asked})

    start, end, _ = part.indices(len(CONTENT))
    assert read.status_code == 206
    assert read.content == CONTENT[part]
    assert read.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"


async def test_a_range_is_of_the_content_that_the_caller_knows(open_gateway: Gateway) -> None:
    await put(open_gateway)
    path, asked = f"/v1/assets/{DIGEST}/content", {"Range": "bytes=0-9"}

    same = await open_gateway.http.get(path, headers={**asked, "If-Range": f'"{DIGEST}"'})
    other = await open_gateway.http.get(path, headers={**asked, "If-Range": '"another"'})
    known = await open_gateway.http.get(path, headers={"If-None-Match": f'"{DIGEST}"'})
    behind = await open_gateway.http.get(path, headers={"Range": f"bytes={len(CONTENT)}-"})

    assert (same.status_code, len(same.content)) == (206, 10)
    assert (other.status_code, len(other.content)) == (200, len(CONTENT))
    assert (known.status_code, known.content) == (304, b"")
    assert (behind.status_code, behind.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")
    assert behind.json()["category"] == "range_not_satisfiable"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ('attachment; filename="june.csv"', "june.csv"),
        ("attachment; filename*=UTF-8''j%C3%BCni.csv", "jüni.csv"),
        ("attachment", "asset"),
    ],
)
async def test_the_name_may_come_with_the_content(open_gateway: Gateway, sent: str, name: str) -> None:
    answer = await open_gateway.http.post("/v1/assets", content=unique(), headers={"Content-Disposition": sent})
    assert (answer.status_code, answer.json()["name"]) == (201, name)
    assert answer.json()["media_type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("query", "headers", "status", "told"),
    [
        ({"name": "../x"}, {}, 422, "no slash"),
        ({"name": "x" * 256}, {}, 422, "255 bytes at most"),
        ({}, {"Content-Disposition": 'attachment; filename="../../x"'}, 422, "name: the name of a file holds no slash"),
        ({}, {"Content-Type": "text"}, 422, "Content-Type: "),
        ({}, {"Content-Encoding": "gzip"}, 415, "send the file as it is"),
        ({"sha256": "0" * 64}, {}, 422, "another SHA-256 than was announced"),
        ({"sha256": "0"}, {}, 422, "query.sha256"),
    ],
)
async def test_what_is_no_file_for_us_is_refused(
    open_gateway: Gateway, query: dict[str, str], headers: dict[str, str], status: int, told: str
) -> None:
    content = unique()
    answer = await open_gateway.http.post("/v1/assets", params=query, content=content, headers=headers)

    assert answer.status_code == status
    assert told in answer.text
    digest = hashlib.sha256(content).hexdigest()
    assert (await open_gateway.http.get(f"/v1/assets/{digest}")).status_code == 404
    assert drafts(folder_of(open_gateway)) == []


@pytest.mark.parametrize("path", ["", "/content"])
async def test_what_is_not_there_is_told(open_gateway: Gateway, path: str) -> None:
    answer = await open_gateway.http.get(f"/v1/assets/{'0' * 64}{path}")
    assert (answer.status_code, answer.json()["category"]) == (404, "not_found")
    assert "there is no asset 000000000000…" in answer.json()["detail"]


@pytest.mark.parametrize("digest", ["0" * 63, "A" * 64, "..%2F..%2Fkeys.json"])
async def test_what_is_no_digest_is_refused(open_gateway: Gateway, digest: str) -> None:
    assert (await open_gateway.http.get(f"/v1/assets/{digest}/content")).status_code in (404, 422)


async def test_assets_are_listed_page_by_page(idle_gateway: Gateway) -> None:
    for number in range(3):
        await idle_gateway.http.post(f"/v1/assets?name={number}", content=b"%d" % number)

    first = (await idle_gateway.http.get("/v1/assets?limit=2")).json()
    second = (await idle_gateway.http.get("/v1/assets", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    forged = await idle_gateway.http.get("/v1/assets", params={"cursor": first["next_cursor"][:-2]})

    assert [asset["name"] for asset in first["assets"] + second["assets"]] == ["2", "1", "0"]
    assert second["next_cursor"] is None
    assert (forged.status_code, forged.json()["category"]) == (422, "invalid_cursor")


async def test_what_nothing_needs_is_listed_first_and_deleted_when_told(idle_gateway: Gateway) -> None:
    digests = [(await put(idle_gateway, unique())).json()["sha256"] for _ in range(2)]
    await age(idle_gateway.tieline.stores.database, 31)

    listed = await idle_gateway.http.post("/v1/assets/gc?limit=1")
    kept = blobs(folder_of(idle_gateway))
    deleted = await idle_gateway.http.post("/v1/assets/gc?delete=true")
    mistyped = await idle_gateway.http.post("/v1/assets/gc?yes=true")

    assert listed.json()["deleted"] is False
    assert (listed.json()["found"], len(listed.json()["garbage"]), len(kept)) == (2, 1, 2)
    assert sorted(each["id"] for each in deleted.json()["garbage"]) == sorted(digests)
    assert {each["kind"] for each in deleted.json()["garbage"]} == {"file"}
    assert blobs(folder_of(idle_gateway)) == []
    assert mistyped.status_code == 422


async def test_what_another_installation_put_there_is_deleted_only_when_somebody_says_so(idle_gateway: Gateway) -> None:
    other = LocalBlobs(folder_of(idle_gateway))
    await other.mark("f" * 32)
    await put(idle_gateway, unique())
    await age(idle_gateway.tieline.stores.database, 31)

    refused = (await idle_gateway.http.post("/v1/assets/gc?delete=true")).json()
    deleted = (await idle_gateway.http.post("/v1/assets/gc?delete=true&take_over=true")).json()

    assert (refused["garbage"], refused["left"], refused["left_bytes"]) == ([], 1, 16_000)
    assert refused["left_because"].startswith("TIELINE_DATA_DIR/assets also holds files of another installation")
    assert (deleted["found"], deleted["left"]) == (1, 0)
    assert blobs(folder_of(idle_gateway)) == []


async def test_content_that_is_lost_or_damaged_is_told(idle_gateway: Gateway) -> None:
    path = f"/v1/assets/{(await put(idle_gateway, b'short')).json()['sha256']}/content"
    (blob,) = blobs(folder_of(idle_gateway))
    blob.write_bytes(b"shorx")
    damaged = await idle_gateway.http.get(path)
    blob.unlink()
    lost = await idle_gateway.http.get(path)

    assert (damaged.status_code, damaged.json()["category"]) == (500, "asset_damaged")
    assert (lost.status_code, lost.json()["category"]) == (404, "not_found")
    assert "is not in" in lost.json()["detail"]


async def test_a_large_damaged_file_never_arrives_whole(idle_gateway: Gateway) -> None:
    await put(idle_gateway)
    (blob,) = blobs(folder_of(idle_gateway))
    blob.write_bytes(CONTENT[:-1] + b"x")

    with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
        await idle_gateway.http.get(f"/v1/assets/{DIGEST}/content")


async def test_a_folder_that_cannot_be_written_is_told(idle_gateway: Gateway) -> None:
    folder_of(idle_gateway).write_text("a file where the folder should be")
    answer = await put(idle_gateway)
    assert (answer.status_code, answer.json()["category"]) == (503, "asset_store_unavailable")


async def test_a_file_for_which_there_is_no_room_is_refused(
    open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.assets.draft.RESERVE_BYTES", 2**60)
    answer = await put(open_gateway, unique())
    assert (answer.status_code, answer.json()["category"]) == (503, "asset_store_unavailable")
    assert answer.json()["detail"].startswith("16000 bytes do not fit into TIELINE_DATA_DIR/assets/staging: ")


async def test_a_file_may_be_larger_than_other_bodies_up_to_its_own_limit(idle: Installation) -> None:
    settings = idle.stores.settings.model_copy(update={"asset_max_bytes": limits.MAX_BODY_BYTES + 1_000_000})
    object.__setattr__(idle.stores, "settings", settings)
    async with opened_gateway(idle) as gateway:
        fits = await put(gateway, bytes(limits.MAX_BODY_BYTES + 1))
        said = await exchange(
            gateway, head("POST /v1/assets HTTP/1.1", f"Content-Length: {settings.asset_max_bytes + 1}")
        )

    assert fits.status_code == 201
    assert status_of(said) == 413
    assert len(blobs(idle.stores.settings.data_dir / "assets")) == 1


async def test_a_file_that_grows_beyond_its_limit_is_cut_off(idle: Installation) -> None:
    settings = idle.stores.settings.model_copy(update={"asset_max_bytes": 100_000})
    object.__setattr__(idle.stores, "settings", settings)
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    async with opened_gateway(idle) as gateway:
        answer = await exchange(gateway, head("POST /v1/assets HTTP/1.1", "Transfer-Encoding: chunked"), chunk, chunk)

    assert status_of(answer) == 413
    assert blobs(idle.stores.settings.data_dir / "assets") + drafts(idle.stores.settings.data_dir / "assets") == []


UPLOAD = head("POST /v1/assets HTTP/1.1", "Content-Length: 1000000", "Content-Type: text/plain")


async def test_a_file_that_stops_coming_is_cut_off(open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.3)
    answer = await exchange(open_gateway, UPLOAD, b"x" * 100_000)
    assert status_of(answer) == 408
    assert drafts(folder_of(open_gateway)) == []


async def test_a_file_may_take_longer_than_other_bodies_while_it_keeps_coming(
    open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.5)

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"x" * 20_000
            await asyncio.sleep(0.1)

    answer = await open_gateway.http.post("/v1/assets", content=slowly())
    assert answer.status_code == 201


async def test_a_file_that_trickles_is_cut_off(open_gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.4)

    reader, writer = await asyncio.open_connection("127.0.0.1", open_gateway.port)
    writer.write(UPLOAD)
    answer = asyncio.ensure_future(reader.readline())
    while not answer.done():  # each piece comes soon enough for one that is waited for alone
        writer.write(b"x")
        await asyncio.wait([answer], timeout=0.05)
    writer.close()
    assert b" 408 " in await answer


async def test_who_hangs_up_leaves_nothing(open_gateway: Gateway) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", open_gateway.port)
    writer.write(UPLOAD + b"x" * 100_000)
    await until(lambda: bool(drafts(folder_of(open_gateway))))
    writer.close()
    await until(lambda: not drafts(folder_of(open_gateway)))


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/assets", "runs:start"),
        ("GET", "/v1/assets", "runs:read"),
        ("GET", f"/v1/assets/{'0' * 64}", "runs:read"),
        ("GET", f"/v1/assets/{'0' * 64}/content", "runs:read"),
        ("POST", "/v1/assets/gc", "manage"),
    ],
)
async def test_each_route_needs_its_scope(closed_gateway: Gateway, method: str, path: str, scope: str) -> None:
    others = {"runs:start", "runs:read", "runs:decide", "manage"} - {scope}
    refused = await closed_gateway.http.request(method, path, headers=await closed_gateway.token(*sorted(others)))
    nobody = await closed_gateway.http.request(method, path)
    admitted = await closed_gateway.http.request(method, path, headers=await closed_gateway.token(scope))

    assert (nobody.status_code, refused.status_code) == (401, 403)
    assert admitted.status_code in (200, 201, 404)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"size": 5}, "has 16000 bytes, where its reference says 5"),
        ({"sha256": "0" * 64}, "there is no asset 000000000000…"),
    ],
)
async def test_a_run_that_is_to_send_what_is_not_there_is_not_started(
    idle_gateway: Gateway, change: dict[str, object], told: str
) -> None:
    asset = (await put(idle_gateway, unique())).json() | change
    refused = await idle_gateway.http.post("/v1/runs", json=sending(asset))

    assert (refused.status_code, refused.json()["category"]) == (422, "invalid_request")
    assert told in refused.json()["detail"]
    assert refused.json()["suggested_action"].startswith("put the file")


def sending(asset: dict[str, object]) -> dict[str, object]:
    body = {"type": "asset", "asset": asset}
    operation = {"adapter": "flaky", "method": "POST", "path": f"ok/{uuid.uuid4().hex}", "body": body}
    return {"profile": PROFILE, "operation": operation}
