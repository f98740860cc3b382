"""What runs hold is collected when Temporal says that they need it no more, by a real server."""

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from runtime.assembly import Stores
from runtime.asset_holders import AssetCollection, collect_assets
from runtime.payload_store import THRESHOLD_BYTES
from runtime.runs import UnfitAsset
from tests.fixtures.assets import CONTENT, age, blobs, pieces, whole
from tests.fixtures.tieline import Installation

LARGE = "x" * THRESHOLD_BYTES


async def started_with_a_large_body(tieline: Installation) -> str:
    body = {"type": "json", "value": {"text": LARGE}}
    return (await tieline.start("flaky", f"ok/{uuid.uuid4().hex}", method="POST", body=body)).id


async def collected(stores: Stores) -> AssetCollection:
    found = await collect_assets(stores, delete=True, take_over=False)
    assert found.temporal is None
    return found


def kinds(found: AssetCollection) -> Sequence[str]:
    return [each.kind for each in found.garbage]


async def test_a_payload_stays_for_as_long_as_temporal_knows_its_run(tieline: Installation) -> None:
    folder, database = tieline.stores.settings.data_dir / "assets", tieline.stores.database
    run = await started_with_a_large_body(tieline)
    await tieline.runs.result(run)
    assert blobs(folder)
    await age(database, 1000)

    assert kinds(await collected(tieline.stores)) == []
    _, steps = await tieline.runs.show(run)
    assert steps


async def test_a_payload_goes_when_temporal_has_forgotten_its_run(idle: Installation) -> None:
    folder, database = idle.stores.settings.data_dir / "assets", idle.stores.database
    await idle.stores.assets.put_payload(CONTENT, f"run-{uuid.uuid4().hex}")
    assert kinds(await collected(idle.stores)) == []

    await age(database, 1.1)
    assert kinds(await collected(idle.stores)) == ["payload"]
    assert blobs(folder) == []


async def test_a_file_stays_while_its_run_is_under_way_however_old_it_is(idle: Installation) -> None:
    store, database = idle.stores.assets, idle.stores.database
    run = (await idle.start("flaky", f"ok/{uuid.uuid4().hex}", method="POST")).id
    asset = await store.put(pieces(CONTENT), name="orders.csv", media_type="text/csv", holder=run)
    await age(database, 1000)

    assert kinds(await collected(idle.stores)) == []
    assert await whole(store.read(asset)) == CONTENT

    await idle.client.get_workflow_handle(run).terminate()
    assert kinds(await collected(idle.stores)) == ["file"]


async def test_what_a_run_is_to_send_stays_from_its_start_on_though_no_worker_has_seen_it(idle: Installation) -> None:
    store, database = idle.stores.assets, idle.stores.database
    asset = await store.put(pieces(CONTENT), name="orders.csv", media_type="text/csv", holder="user")
    body = {"type": "asset", "asset": asset.model_dump()}
    run = (await idle.start("flaky", f"ok/{uuid.uuid4().hex}", method="POST", body=body)).id
    await age(database, 1000)

    assert kinds(await collected(idle.stores)) == []
    assert [holder.name for holder in (await store.info(asset.sha256)).holders] == [run]

    await idle.client.get_workflow_handle(run).terminate()
    assert kinds(await collected(idle.stores)) == ["file"]


async def test_a_run_that_was_started_is_found_by_its_key_though_its_file_is_gone(idle: Installation) -> None:
    store = idle.stores.assets
    asset = await store.put(pieces(CONTENT), name="orders.csv", media_type="text/csv", holder="user")
    body = {"type": "asset", "asset": asset.model_dump()}
    request: dict[str, Any] = {"method": "POST", "body": body, "key": uuid.uuid4().hex}
    first = await idle.start("flaky", "ok/once", **request)
    await idle.client.get_workflow_handle(first.id).terminate()
    await age(idle.stores.database, 1000)
    assert kinds(await collected(idle.stores)) == ["file"]

    again = await idle.start("flaky", "ok/once", **request)

    assert (again.id, again.duplicate) == (first.id, True)
    with pytest.raises(UnfitAsset, match="there is no asset"):
        await idle.start("flaky", "ok/once", **request | {"key": "another"})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"temporal_address": "127.0.0.1:1"}, "no Temporal server answers"),
        ({"temporal_namespace": "nowhere"}, "it refused to tell of a run"),
    ],
)
async def test_when_temporal_cannot_be_asked_nothing_that_runs_hold_is_deleted(
    idle: Installation, change: dict[str, str], told: str
) -> None:
    store, database = idle.stores.assets, idle.stores.database
    held = await store.put(pieces(CONTENT), name="held", media_type="text/csv", holder="run-of-nobody")
    await store.put(pieces(b"other"), name="other", media_type="text/csv", holder="user")
    await age(database, 1000)

    settings = idle.stores.settings.model_copy(update=change)
    stores = dataclasses.replace(idle.stores, settings=settings)
    found = await collect_assets(stores, delete=True, take_over=False)

    assert told in (found.temporal or "")
    assert [each.name for each in found.garbage] == ["other"]
    assert found.kept == 1
    assert await whole(store.read(held)) == CONTENT
