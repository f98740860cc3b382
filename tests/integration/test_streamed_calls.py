"""Calls whose bodies are assets, one way or the other: one real store, one real server, no run."""

import asyncio
import contextlib
import gzip
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from activities.http import HttpActivities
from activities.keeping import keep_answer
from activities.parking import CallFailed
from activities.streams import Draft
from auth.credential import Credential
from definitions.asset import Asset
from definitions.integration import Integration
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Call, CallResult, Failure, Verdict
from net.client import GuardedClient
from net.errors import NetError
from storage.assets import AssetStore
from storage.errors import AssetStoreUnavailable
from storage.waiters import Waiter
from tests.fixtures.assets import CONTENT, blobs, drafts, pieces, whole
from tests.fixtures.http import Answer, FaultServer, Headers, Received, Wire, request_to
from tests.fixtures.waiting import until

CSV: Headers = [("Content-Type", "text/csv"), ("Content-Disposition", 'attachment; filename="orders.csv"')]
MISSING = Asset(sha256="0" * 64, size=3)


class OneAccount:
    """Of a server on this machine; `renewals` of its secret were made."""

    def __init__(self, server: FaultServer) -> None:
        self._server = server
        self.renewals = 0

    async def resolve(self, ref: CredentialRef) -> Credential:
        definition = {"key": "told", "name": "Told", "base_url": self._server.url, "auth": {"type": "none"}}
        integration = Integration.model_validate({"kind": "integration", **definition})
        return Credential("id", "main", integration, token_version=self.renewals)

    async def renew(self, credential: Credential) -> Credential:
        self.renewals += 1
        return await self.resolve(CredentialRef(adapter="told", profile="dev"))

    async def park(self, waiter: Waiter) -> bool:
        raise AssertionError("no account is dead")


class Calls:
    """Makes calls; fails with what a run would be told."""

    def __init__(self, http: GuardedClient, server: FaultServer, store: AssetStore | None) -> None:
        account = OneAccount(server)
        self.activities = HttpActivities(account, account, http, assets=store)

    async def make(self, path: str = "/files/report", *, safe: bool = True, **operation: Any) -> CallResult:
        model = HttpOperation.model_validate({"path": path, **operation})
        delivery = Delivery.SAFE if safe else Delivery.UNSAFE
        ref = CredentialRef(adapter="told", profile="dev")
        return await self.activities.make(Call(operation=model, credential=ref, delivery=delivery, idempotency_key="k"))

    async def failure(self, path: str = "/files/report", **operation: Any) -> Failure:
        with pytest.raises(CallFailed) as failed:
            await self.make(path, **operation)
        return failed.value.failure


@pytest.fixture
def calls(http_client: GuardedClient, http_server: FaultServer, disk_store: AssetStore) -> Calls:
    return Calls(http_client, http_server, disk_store)


async def put(store: AssetStore, content: bytes = CONTENT) -> Asset:
    return await store.put(pieces(content), name="orders.csv", media_type="text/csv", holder="user")


def asset_body(asset: Asset) -> dict[str, Any]:
    return {"type": "asset", "asset": asset}


# ---- answers


@pytest.mark.parametrize(
    ("headers", "coded"), [(CSV, CONTENT), ([*CSV, ("Content-Encoding", "gzip")], gzip.compress(CONTENT))]
)
async def test_an_answer_that_is_too_large_for_a_value_becomes_an_asset(
    calls: Calls, http_server: FaultServer, disk_store: AssetStore, headers: Headers, coded: bytes
) -> None:
    http_server.reply("/files/report", body=coded, headers=headers)

    result = await calls.make(max_bytes=1000)

    assert result.asset is not None
    assert (result.encoding, result.body, result.bytes) == ("asset", None, len(CONTENT))
    assert (result.asset.name, result.asset.media_type, result.asset.size) == ("orders.csv", "text/csv", len(CONTENT))
    assert await whole(disk_store.read(result.asset)) == CONTENT
    assert [holder.name for holder in (await disk_store.info(result.asset.sha256)).holders] == ["user"]


@pytest.mark.parametrize(("operation", "size"), [({}, 1000), ({"answer": "value"}, 1000), ({"extract": "@"}, 0)])
async def test_a_small_answer_stays_a_value(
    calls: Calls, http_server: FaultServer, asset_folder: Path, operation: dict[str, Any], size: int
) -> None:
    http_server.reply("/files/report", body=CONTENT[:size], headers=[("Content-Type", "application/octet-stream")])

    result = await calls.make(max_bytes=1000, **operation)

    assert (result.asset, result.bytes) == (None, size)
    assert blobs(asset_folder) == []


@pytest.mark.parametrize("body", [b"", b"{}", CONTENT], ids=["empty", "small", "large"])
async def test_an_answer_that_is_asked_for_as_an_asset_is_one(
    calls: Calls, http_server: FaultServer, disk_store: AssetStore, body: bytes
) -> None:
    http_server.reply("/files/report", body=body, headers=[("Content-Type", "application/json; charset=utf-8")])

    result = await calls.make(answer="asset")

    assert result.asset is not None
    assert (result.asset.name, result.asset.media_type) == ("report", "application/json; charset=utf-8")
    assert await whole(disk_store.read(result.asset)) == body
    assert http_server.received[0].header("Accept-Encoding") == "identity"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204)])
async def test_where_there_can_be_no_body_there_is_no_asset(
    calls: Calls, http_server: FaultServer, method: str, status: int
) -> None:
    http_server.reply("/files/report", status, headers=[("Content-Length", "0")])

    result = await calls.make(answer="asset", method=method)

    assert (result.encoding, result.asset) == ("none", None)


@pytest.mark.parametrize("operation", [{"answer": "value"}, {"extract": "a"}], ids=["as a value", "to extract from"])
async def test_a_large_answer_is_an_error_where_a_value_is_needed(
    calls: Calls, http_server: FaultServer, asset_folder: Path, operation: dict[str, Any]
) -> None:
    http_server.reply("/files/report", body=CONTENT)

    failure = await calls.failure(max_bytes=1000, **operation)

    assert (failure.category, failure.verdict) == ("result_unusable", Verdict.FINAL)
    assert "a body of more than 1000 bytes" in failure.message
    assert blobs(asset_folder) == []


async def test_where_no_assets_are_at_hand_every_answer_is_a_value(
    http_client: GuardedClient, http_server: FaultServer
) -> None:
    http_server.reply("/files/report", body=CONTENT)

    failure = await Calls(http_client, http_server, None).failure(max_bytes=1000)

    assert failure.category == "result_unusable"


@pytest.mark.parametrize("answer", ["auto", "asset"])
@pytest.mark.parametrize(("status", "category"), [(400, "refused"), (500, "provider_error"), (206, "refused")])
async def test_what_is_no_success_is_never_kept(
    calls: Calls, http_server: FaultServer, asset_folder: Path, answer: str, status: int, category: str
) -> None:
    http_server.reply("/files/report", status, body=CONTENT)

    failure = await calls.failure(answer=answer, success=["200"])

    assert (failure.category, failure.status) == (category, status)
    assert blobs(asset_folder) == []


@pytest.mark.parametrize("headers", [[], [("Transfer-Encoding", "chunked")]], ids=["announced", "unannounced"])
async def test_an_answer_above_the_cap_of_assets_is_an_error_and_leaves_nothing(
    calls: Calls, http_server: FaultServer, asset_folder: Path, headers: Headers
) -> None:
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(CONTENT), CONTENT) if headers else CONTENT
    http_server.reply("/files/report", body=body, headers=headers)

    failure = await calls.failure(max_bytes=1000, max_asset_bytes=len(CONTENT) - 1)

    assert (failure.category, failure.verdict) == ("result_unusable", Verdict.FINAL)
    assert f"a body of more than {len(CONTENT) - 1} bytes" in failure.message
    assert "max_asset_bytes" in failure.suggested_action
    assert (blobs(asset_folder), drafts(asset_folder)) == ([], [])


@pytest.mark.parametrize(("safe", "verdict"), [(True, Verdict.AGAIN), (False, Verdict.UNKNOWN)])
async def test_an_answer_that_is_cut_is_no_asset_and_leaves_nothing(
    calls: Calls, http_server: FaultServer, asset_folder: Path, safe: bool, verdict: Verdict
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT)
    http_server.script("/files/report", head + CONTENT[:-1])

    failure = await calls.failure(safe=safe, max_bytes=1000)

    assert failure.verdict is verdict
    assert (blobs(asset_folder), drafts(asset_folder)) == ([], [])


@pytest.mark.parametrize("cut", [0, 1], ids=["whole", "cut"])
async def test_a_draft_that_an_attempt_left_is_written_over_and_none_is_left(
    http_client: GuardedClient, http_server: FaultServer, disk_store: AssetStore, asset_folder: Path, cut: int
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT)
    http_server.script("/file", head + CONTENT[: len(CONTENT) - cut])
    async with disk_store.draft("run/1") as killed:
        await killed.append(b"what an earlier attempt got")
    call = Call(
        operation=HttpOperation(path="/file"),
        credential=CredentialRef(adapter="told", profile="dev"),
        delivery=Delivery.SAFE,
        idempotency_key="k",
    )

    with contextlib.ExitStack() as expected:
        if cut:
            expected.enter_context(pytest.raises(NetError))
        async with http_client.stream(request_to(http_server, "/file")) as answer:
            asset = await keep_answer(disk_store, answer, call, key="run/1", holder="run")
            assert await whole(disk_store.read(asset)) == CONTENT

    assert len(blobs(asset_folder)) == 1 - cut
    assert drafts(asset_folder) == []


async def test_an_asset_whose_end_nobody_announced_says_that_it_may_have_been_cut(
    calls: Calls, http_server: FaultServer
) -> None:
    http_server.script("/files/report", b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT)

    result = await calls.make(max_bytes=1000)

    assert result.asset is not None
    assert "it may have been cut" in result.notes[0]


async def test_a_cancelled_call_gives_the_connection_up_and_leaves_no_draft(
    calls: Calls, http_server: FaultServer, asset_folder: Path
) -> None:
    async def pauses(_: Received, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + CONTENT * 3)
        await wire.receive(1)

    http_server.on("/files/report", pauses)
    task = asyncio.create_task(calls.make(max_bytes=1000))
    await until(lambda: any(draft.stat().st_size > 0 for draft in drafts(asset_folder)))

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await until(lambda: http_server.open == 0)
    assert drafts(asset_folder) == []


class FullStore(AssetStore):
    """There is no room in it."""

    def draft(self, key: str | None = None, run: str | None = None) -> AbstractAsyncContextManager[Draft]:  # type: ignore[override]
        raise AssetStoreUnavailable("a file in /srv/assets cannot be written: no space left on device")


@pytest.mark.parametrize(
    ("safe", "category", "verdict"),
    [(True, "asset_store_unavailable", Verdict.AGAIN), (False, "result_not_kept", Verdict.FINAL)],
)
async def test_an_answer_that_cannot_be_kept_is_fetched_again_only_where_that_is_safe(
    http_client: GuardedClient,
    http_server: FaultServer,
    disk_store: AssetStore,
    safe: bool,
    category: str,
    verdict: Verdict,
) -> None:
    http_server.reply("/files/report", body=CONTENT)
    full = FullStore(disk_store._database, Path("unused"))

    failure = await Calls(http_client, http_server, full).failure(safe=safe, answer="asset")

    assert (failure.category, failure.verdict) == (category, verdict)
    assert "no space left on device" in failure.message


async def test_a_large_answer_for_which_there_is_no_room_is_told_before_it_is_read(
    calls: Calls, http_server: FaultServer, asset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.assets.draft.RESERVE_BYTES", 2**60)
    small, large = CONTENT[:1000], CONTENT * 3
    http_server.reply("/files/small", body=small)
    http_server.reply("/files/report", body=large)

    kept = await calls.make("/files/small", answer="asset")
    failure = await calls.failure(answer="asset")

    assert kept.bytes == len(small)
    assert (failure.category, failure.verdict) == ("asset_store_unavailable", Verdict.AGAIN)
    assert f"{len(large)} bytes do not fit" in failure.message
    assert drafts(asset_folder) == []


# ---- bodies


async def test_an_asset_is_sent_as_it_is_kept(calls: Calls, http_server: FaultServer, disk_store: AssetStore) -> None:
    http_server.reply("/files/report", 201)

    result = await calls.make(method="PUT", body=asset_body(await put(disk_store)))

    (received,) = http_server.received
    assert (result.status, received.body) == (201, CONTENT)
    assert (received.header("Content-Type"), received.header("Content-Length")) == ("text/csv", str(len(CONTENT)))


async def test_an_asset_is_sent_as_a_part_among_others(
    calls: Calls, http_server: FaultServer, disk_store: AssetStore
) -> None:
    http_server.reply("/files/report", 201)
    files = [
        {"name": "large", "filename": "large.csv", "asset": await put(disk_store)},
        {"name": "small", "filename": "a.txt", "content": "YQ==", "media_type": "text/plain"},
    ]

    await calls.make(method="POST", body={"type": "multipart", "fields": {"title": "x"}, "files": files})

    (received,) = http_server.received
    assert received.header("Content-Length") == str(len(received.body))
    assert b'filename="large.csv"\r\nContent-Type: text/csv\r\n\r\n' + CONTENT + b"\r\n--" in received.body
    assert b'filename="a.txt"\r\nContent-Type: text/plain\r\n\r\na\r\n--' in received.body


async def test_a_refused_token_is_renewed_and_the_body_sent_from_its_first_byte_again(
    calls: Calls, http_server: FaultServer, disk_store: AssetStore
) -> None:
    http_server.replies("/files/report", Answer(401), Answer(201))

    result = await calls.make(method="PUT", body=asset_body(await put(disk_store)))

    assert [received.body for received in http_server.received] == [CONTENT, CONTENT]
    assert (result.status, result.token_version) == (201, 1)


async def test_an_asset_that_is_sent_is_held(calls: Calls, http_server: FaultServer, disk_store: AssetStore) -> None:
    http_server.reply("/files/report", 201)
    asset = await disk_store.put(pieces(CONTENT), name="a", media_type="text/csv", holder="run-1")

    await calls.make(method="PUT", body=asset_body(asset))

    holders = (await disk_store.info(asset.sha256)).holders
    assert sorted(holder.name for holder in holders) == ["run-1", "user"]


@pytest.mark.parametrize("safe", [True, False])
async def test_an_asset_that_is_gone_costs_no_request(calls: Calls, http_server: FaultServer, safe: bool) -> None:
    failure = await calls.failure(safe=safe, method="PUT", body=asset_body(MISSING))

    assert (failure.category, failure.verdict) == ("asset_missing", Verdict.FINAL)
    assert http_server.received == []


@pytest.mark.parametrize(
    ("safe", "category", "verdict"),
    [(True, "asset_damaged", Verdict.FINAL), (False, "outcome_unknown", Verdict.UNKNOWN)],
)
async def test_an_asset_that_was_altered_is_never_sent_whole(
    calls: Calls,
    http_server: FaultServer,
    disk_store: AssetStore,
    asset_folder: Path,
    safe: bool,
    category: str,
    verdict: Verdict,
) -> None:
    arrived = bytearray()

    async def handler(_: Received, wire: Wire) -> None:
        while piece := await wire.receive(65536):
            arrived.extend(piece)

    http_server.on_head("/files/report", handler)
    asset = await put(disk_store, CONTENT * 2)
    (blob,) = blobs(asset_folder)
    blob.chmod(0o600)
    blob.write_bytes(CONTENT + CONTENT[:-1] + b"!")

    failure = await calls.failure(safe=safe, method="PUT", body=asset_body(asset))

    assert (failure.category, failure.verdict) == (category, verdict)
    assert "was altered" in failure.message
    assert len(arrived) < asset.size


async def test_where_no_sftp_server_can_be_reached_its_files_are_no_bodies(
    calls: Calls, http_server: FaultServer
) -> None:
    failure = await calls.failure(method="PUT", body={"type": "sftp", "adapter": "bank", "path": "a.csv"})

    assert (failure.category, http_server.received) == ("invalid_request", [])
