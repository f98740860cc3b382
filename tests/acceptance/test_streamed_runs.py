"""Large bodies through real runs: answers that become assets, assets and files of SFTP servers that are sent."""

import contextlib
import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from definitions.asset import Asset
from definitions.loading import load_text
from definitions.refs import CredentialRef
from definitions.run import CallResult
from definitions.sftp import SftpUpload
from examples.externalsystems import Systems
from runtime.assembly import open_worker
from runtime.runs import RunFailed, Started
from runtime.temporal_server import TemporalAddress
from tests.fixtures.assets import drafts, pieces, whole
from tests.fixtures.http import Answer, FaultServer, Received, Wire, serving
from tests.fixtures.sftp_runs import bind_server
from tests.fixtures.sshd import Sshd
from tests.fixtures.tieline import PROFILE, Installation, installed
from tests.fixtures.waiting import until

LIMIT = timedelta(seconds=60)
CONTENT = b"".join(hashlib.sha256(index.to_bytes(4, "big")).digest() for index in range(60_000))
"""2 MB, of which nothing can be compressed away."""

FILES = """
kind: integration
key: files
name: Files over HTTP
base_url: "http://{server}"
parameters: {server: {pattern: '127\\.0\\.0\\.1:\\d+'}}
auth: {type: none}
"""


@dataclass(frozen=True, slots=True)
class World:
    """Adapter `files` leads to `server`, `bank` to `folder` on an SFTP server."""

    tieline: Installation
    server: FaultServer
    folder: Path

    async def start(self, path: str, **operation: Any) -> Started:
        return await self.tieline.start("files", path, **operation)

    async def result(self, started: Started) -> CallResult:
        result = (await self.tieline.runs.result(started.id, timeout=LIMIT)).call
        assert result is not None
        return result

    async def run(self, path: str, **operation: Any) -> tuple[str, CallResult]:
        """Its id and its answer."""
        started = await self.start(path, **operation)
        return started.id, await self.result(started)

    async def bind(self, name: str) -> None:
        """An adapter and an account of this name."""
        definitions = self.tieline.stores.definitions
        profile = (await definitions.profile(PROFILE)).model_dump(mode="json", exclude_none=True)
        profile["adapters"][name] = name
        await definitions.apply(load_text(json.dumps(profile), "profile.yaml"))

    async def put(self, content: bytes) -> Asset:
        return await self.tieline.stores.assets.put(
            pieces(content), name="orders.csv", media_type="text/csv", holder="user"
        )


@pytest_asyncio.fixture(scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, temporal_server: TemporalAddress, systems: Systems, sshd: Sshd
) -> AsyncIterator[World]:
    root = sshd.home / uuid.uuid4().hex[:12]
    root.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(FaultServer()))
        allow = [sshd.place, f"127.0.0.1:{server.port}"]
        folder = tmp_path_factory.mktemp("streamed")
        tieline = await stack.enter_async_context(installed(folder, temporal_server.address, systems, allow=allow))
        await bind_server(tieline, sshd, root)
        await tieline.stores.definitions.apply(load_text(FILES, "files.yaml"))
        await tieline.stores.accounts.create("files", "files", {"server": f"127.0.0.1:{server.port}"}, {})
        world = World(tieline, server, root)
        await world.bind("files")
        await stack.enter_async_context(open_worker(tieline.stores, tieline.client))
        yield world


async def test_a_large_answer_becomes_an_asset_that_the_run_holds(world: World) -> None:
    world.server.reply("/report.csv", body=CONTENT, headers=[("Content-Type", "text/csv")])

    run_id, result = await world.run("report.csv")

    store = world.tieline.stores.assets
    assert result.asset is not None
    assert (result.encoding, result.body, result.bytes) == ("asset", None, len(CONTENT))
    assert (result.asset.name, result.asset.media_type) == ("report.csv", "text/csv")
    assert result.asset.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert await whole(store.read(result.asset)) == CONTENT
    assert [holder.name for holder in (await store.info(result.asset.sha256)).holders] == [run_id]
    assert drafts(world.tieline.stores.settings.data_dir / "assets") == []


async def test_an_asset_is_the_body_of_a_request(world: World) -> None:
    world.server.reply("/upload", 201)
    asset = await world.put(CONTENT[::-1])

    run_id, result = await world.run("upload", method="POST", body={"type": "asset", "asset": asset})

    (received,) = world.server.to("/upload")
    assert (result.status, received.body == CONTENT[::-1], received.header("Content-Type")) == (201, True, "text/csv")
    holders = (await world.tieline.stores.assets.info(asset.sha256)).holders
    assert run_id in [holder.name for holder in holders]


async def test_a_file_of_an_sftp_server_is_the_body_of_a_request(world: World) -> None:
    (world.folder / "outbox").mkdir()
    (world.folder / "outbox" / "orders.csv").write_bytes(CONTENT)
    body = {"type": "sftp", "adapter": "bank", "path": "outbox/orders.csv", "media_type": "text/csv"}
    world.server.reply("/from-bank", 201)

    _, result = await world.run("from-bank", method="POST", body=body)

    (received,) = world.server.to("/from-bank")
    assert (result.status, received.body == CONTENT) == (201, True)
    assert (received.header("Content-Type"), received.header("Content-Length")) == ("text/csv", str(len(CONTENT)))


@pytest.mark.parametrize(
    ("body", "category", "words"),
    [
        ({"adapter": "bank", "path": "nothing.csv"}, "not_found", "there is no nothing.csv"),
        ({"adapter": "bank", "path": "/"}, "not_a_file", "is a folder"),
        ({"adapter": "files", "path": "a.csv"}, "invalid_request", "adapter 'files' leads to no SFTP server"),
    ],
)
async def test_a_body_that_is_not_there_costs_no_request(
    world: World, body: dict[str, Any], category: str, words: str
) -> None:
    with pytest.raises(RunFailed) as failed:
        await world.run("never", method="POST", body={"type": "sftp", **body})

    assert failed.value.failure.category == category
    assert words in failed.value.failure.message
    assert world.server.to("/never") == []


async def test_an_answer_goes_to_an_sftp_server_without_being_kept(world: World) -> None:
    world.server.reply("/rates.csv", body=CONTENT)
    operation = SftpUpload.model_validate(
        {
            "type": "sftp.upload",
            "files": [{"source": {"type": "http", "adapter": "files", "path": "rates.csv"}, "path": "inbox/"}],
        }
    )
    integration = await world.tieline.stores.definitions.integration("bank")
    ref = CredentialRef(adapter="bank", profile=PROFILE)

    started = await world.tieline.runs.start(operation, ref, integration)
    result = (await world.tieline.runs.result(started.id, timeout=LIMIT)).sftp

    assert result is not None
    assert (world.folder / "inbox" / "rates.csv").read_bytes() == CONTENT
    assert result.sha256 == hashlib.sha256(CONTENT).hexdigest()


async def test_a_file_that_grows_while_it_is_sent_is_sent_again(world: World) -> None:
    """The server says how long the body is before it is read, so more than that is another file."""
    grown = world.folder / "growing.csv"
    grown.write_bytes(CONTENT)
    bodies: list[int] = []

    async def handler(received: Received, wire: Wire) -> Answer | None:
        if not bodies:
            bodies.append(0)
            with grown.open("ab") as file:
                file.write(b"more")
            while await wire.receive(65536):
                pass
            return None
        size = left = int(received.header("Content-Length") or 0)
        while left and (piece := await wire.receive(left)):
            left -= len(piece)
        bodies.append(size - left)
        return Answer(201)

    world.server.on_head("/growing", handler)

    _, result = await world.run(
        "growing", method="PUT", body={"type": "sftp", "adapter": "bank", "path": "growing.csv"}
    )

    assert (result.status, result.attempt) == (201, 2)
    assert bodies == [0, len(CONTENT) + 4]


async def test_a_run_whose_body_is_on_a_server_that_refuses_the_login_waits_until_that_is_mended(
    world: World, sshd: Sshd
) -> None:
    stores = world.tieline.stores
    (world.folder / "locked.csv").write_bytes(CONTENT)
    world.server.reply("/locked", 201)
    wrong = {"username": sshd.username, "private_key": sshd.text("certified")}
    await stores.accounts.create("locked", "bank", {}, wrong, host_keys=[sshd.public_key()])
    await world.bind("locked")
    started = await world.start(
        "locked", method="POST", body={"type": "sftp", "adapter": "locked", "path": "locked.csv"}
    )

    async def waits() -> bool:
        return (await world.tieline.runs.show(started.id))[0].state == "waiting_for_reconnect"

    await until(waits)
    run, _ = await world.tieline.runs.show(started.id)
    assert run.account == "locked"
    assert world.server.to("/locked") == []

    await stores.accounts.set_secrets("locked", {"username": sshd.username, "private_key": sshd.text("user")})

    assert (await world.result(started)).status == 201
    assert [received.body == CONTENT for received in world.server.to("/locked")] == [True]
