"""Runs that wait for one account, real processes that are killed at named instants, and what the other side sees.

All installations side by side: each waits for Temporal to notice that a worker is gone.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import pytest_asyncio
from pydantic import SecretStr
from standardwebhooks import Webhook

from auth.connect import CALLBACK_PATH
from examples.externalsystems import Systems
from runtime.assembly import open_worker
from runtime.connecting import open_connecting
from runtime.settings import Settings
from runtime.temporal_server import TemporalAddress, embedded_temporal
from tests.acceptance.dying_process import dying_process
from tests.fixtures.authorization_server import StrictServer
from tests.fixtures.databases import new_postgresql_database
from tests.fixtures.http import FaultServer, serving
from tests.fixtures.parking import World, open_world
from tests.fixtures.processes import WorkerProcess
from tests.fixtures.waiting import until

SECRET = "whsec_cGxhbnRlZC13ZWJob29rLXNlY3JldC1vZi10ZXN0cw=="
MANY, FEW = 200, 6
LIMIT = 120.0

pytestmark = pytest.mark.timeout(240)


@dataclass
class Seen:
    """What came of the runs of one installation. `told`: the notifications, by kind and number of runs resumed."""

    runs: int
    completed: int = 0
    orders: list[int] = field(default_factory=list)
    """How often each order arrived with a token that was honoured."""
    refused: int = 0
    left: tuple[int, int] = (-1, -1)
    told: list[tuple[str, int | None]] = field(default_factory=list)


@dataclass
class Scene:
    """A world, the folders of its processes, and the receiver of its notifications."""

    world: World
    folder: Path
    receiver: FaultServer
    starting: asyncio.Semaphore

    @contextlib.asynccontextmanager
    async def process(self, *command: str, dies: str = "never", number: int = 1) -> AsyncIterator[WorkerProcess]:
        """`tieline COMMAND…` in a process of its own, which may die at a point."""
        folder = self.folder / f"process-{'-'.join(command[:1])}-{dies}"
        folder.mkdir()
        settings = {"notify_webhook_url": f"{self.receiver.url}/hook", "notify_webhook_secret": SECRET}
        async with contextlib.AsyncExitStack() as stack:
            async with self.starting:  # one after another they are ready sooner than all at once
                process = await stack.enter_async_context(
                    dying_process(self.world.tieline, folder, dies, *command, number=number, **settings)
                )
            yield process

    @contextlib.asynccontextmanager
    async def next_worker(self) -> AsyncIterator[None]:
        """The one that takes over, in this process."""
        async with open_worker(self.world.tieline.stores, self.world.tieline.client):
            yield

    async def parked(self, count: int = FEW) -> None:
        """The grant ends, and so many runs wait for the account."""
        self.world.end_grant()
        await self.order(count)
        await self.world.waiting(count, limit=LIMIT)

    async def order(self, count: int = FEW) -> None:
        for start in range(0, count, 20):
            names = range(start, min(start + 20, count))
            await asyncio.gather(*(self.world.order(f"order {number}") for number in names))

    async def connect_at(self, gateway: WorkerProcess) -> None:
        """A person connects the account in a browser, at the gateway."""
        url = await announced(gateway)
        self.world.server.client.redirect_uris = (f"{url}{CALLBACK_PATH}",)
        async with open_connecting(self.world.tieline.stores) as connecting:
            link = (await connecting.connector.invite("main", url)).link
        async with httpx2.AsyncClient(trust_env=False, timeout=60, follow_redirects=True) as browser:
            page = await browser.get(link)
        assert "account main: connected" in page.text

    async def seen(self, runs: int) -> Seen:
        """As soon as all runs have ended well and everybody was told."""
        await self.world.completed(runs, limit=LIMIT)

        async def settled() -> bool:
            return await self.world.left() == (0, 0)

        await until(settled, limit=30)
        shop = self.world.shop
        told = [verified(request.body, dict(request.headers)) for request in self.receiver.to("/hook")]
        return Seen(
            runs=runs,
            completed=await self.world.count("completed"),
            orders=list(shop.orders.values()),
            refused=shop.refused,
            left=await self.world.left(),
            told=[(each["kind"], each["runs_resumed"]) for each in told],
        )


async def announced(gateway: WorkerProcess) -> str:
    """Where it is served."""
    await until(lambda: gateway.output.rstrip().endswith("}"))
    url: str = json.loads(gateway.output)["http_api"]
    return url


def verified(body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """A notification whose signature the library of the standard has checked."""
    told: dict[str, Any] = Webhook(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
    return told


async def two_workers_one_killed_while_it_signals(scene: Scene) -> Seen:
    async with (
        scene.process("worker", dies="signalled", number=60) as dying,
        scene.process("worker"),
        scene.process("gateway", "-o", "json") as gateway,
    ):
        await scene.parked(MANY)
        await scene.connect_at(gateway)
        with contextlib.suppress(TimeoutError):  # the other one may have been quicker
            await dying.died(limit=10)
        dying.kill()
        await scene.world.end_leases()
        return await scene.seen(MANY)


async def killed_while_they_park(scene: Scene) -> Seen:
    async with scene.process("worker", dies="registered", number=3) as dying:
        scene.world.end_grant()
        await scene.order()
        await dying.died()
    async with scene.next_worker():
        await scene.world.waiting(FEW, limit=LIMIT)
        await scene.world.connect()
        return await scene.seen(FEW)


async def killed_before_the_first_signal(scene: Scene) -> Seen:
    async with scene.process("worker", dies="taken") as dying:
        await scene.parked()
        await scene.world.connect()
        await dying.died()
    await scene.world.end_leases()
    async with scene.next_worker():
        return await scene.seen(FEW)


async def killed_after_the_signals(scene: Scene) -> Seen:
    """All are sent, and none is noted: the runs have ended when they are sent once more."""
    async with scene.process("worker", dies="signalled", number=FEW) as dying:
        await scene.parked()
        await scene.world.connect()
        await dying.died()
    async with scene.next_worker():
        await scene.world.completed(FEW, limit=LIMIT)
        await scene.world.end_leases()
        return await scene.seen(FEW)


async def killed_during_the_resumed_calls(scene: Scene) -> Seen:
    shop = scene.world.shop
    async with scene.process("worker") as worker:
        await scene.parked()
        shop.open.clear()
        await scene.world.connect()
        await until(lambda: shop.orders.total() == FEW, limit=LIMIT)
        worker.kill()
        await worker.died()
    shop.open.set()
    await scene.world.end_leases()
    async with scene.next_worker():
        return await scene.seen(FEW)


async def gateway_killed_after_the_commit(scene: Scene) -> Seen:
    async with scene.next_worker(), scene.process("gateway", "-o", "json", dies="connected") as gateway:
        await scene.parked()
        with pytest.raises(httpx2.TransportError):
            await scene.connect_at(gateway)
        await gateway.died()
        return await scene.seen(FEW)


async def temporal_killed_while_they_wait(scene: Scene, temporal: "OwnTemporal") -> Seen:
    async with scene.next_worker():
        await scene.parked()
        await temporal.kill()
        await scene.world.connect()
        await temporal.start()
        return await scene.seen(FEW)


class OwnTemporal:
    """A server of a test's own, at one port, which can be killed and started again on its folder."""

    def __init__(self, folder: Path) -> None:
        self._settings = Settings(data_dir=folder, temporal_address=None, temporal_port=None)
        self._running = contextlib.AsyncExitStack()
        self.address = ""

    async def start(self) -> None:
        address = await self._running.enter_async_context(embedded_temporal(self._settings))
        self.address = address.address
        port = int(self.address.rpartition(":")[2])
        self._settings = self._settings.model_copy(update={"temporal_port": port})

    async def kill(self) -> None:
        folder = str(self._settings.data_dir)
        servers = [
            each
            for each in psutil.Process().children(recursive=True)
            if "start-dev" in (command := each.cmdline()) and folder in " ".join(command)
        ]
        assert servers
        for each in servers:
            each.kill()
        await self.stop()

    async def stop(self) -> None:
        await self._running.aclose()


Play = Callable[[Scene], Awaitable[Seen]]
PLAYS: dict[str, Play] = {
    "many": two_workers_one_killed_while_it_signals,
    "while they park": killed_while_they_park,
    "before the first signal": killed_before_the_first_signal,
    "after the signals": killed_after_the_signals,
    "during the resumed calls": killed_during_the_resumed_calls,
    "gateway after the commit": gateway_killed_after_the_commit,
}
ON_POSTGRESQL = ("before the first signal", "after the signals")


@pytest_asyncio.fixture(scope="module")
async def played(
    tmp_path_factory: pytest.TempPathFactory, temporal_server: TemporalAddress, systems: Systems, postgresql: str
) -> dict[str, Seen]:
    """What was seen in each play."""
    starting = asyncio.Semaphore(2)

    async def one(play: Callable[[Scene], Awaitable[Seen]], folder: Path, address: str, **settings: str) -> Seen:
        server = StrictServer()
        async with serving(server), serving(FaultServer()) as receiver:
            receiver.reply("/hook", 204)
            notify: dict[str, Any] = {"notify_webhook_url": f"{receiver.url}/hook"}
            notify["notify_webhook_secret"] = SecretStr(SECRET)
            async with contextlib.AsyncExitStack() as stack:
                async with starting:
                    made = open_world(folder, address, systems, server, **notify, **settings)
                    world = await stack.enter_async_context(made)
                return await play(Scene(world, folder, receiver, starting))

    async def without_temporal() -> Seen:
        temporal = OwnTemporal(tmp_path_factory.mktemp("own-temporal"))
        await temporal.start()
        try:
            return await one(
                lambda scene: temporal_killed_while_they_wait(scene, temporal),
                tmp_path_factory.mktemp("play"),
                temporal.address,
            )
        finally:
            await temporal.stop()

    plays = {name: one(play, tmp_path_factory.mktemp("play"), temporal_server.address) for name, play in PLAYS.items()}
    for name in ON_POSTGRESQL:
        url = await new_postgresql_database(postgresql)
        folder = tmp_path_factory.mktemp("play")
        plays[f"{name}, PostgreSQL"] = one(PLAYS[name], folder, temporal_server.address, database_url=url)
    plays["Temporal away"] = without_temporal()
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(play, name=name) for name, play in plays.items()}
    return {name: task.result() for name, task in tasks.items()}


ALL = [*PLAYS, *(f"{name}, PostgreSQL" for name in ON_POSTGRESQL), "Temporal away"]
LOST_CALLS = ("many", "during the resumed calls")
"""Where calls were under way when their worker was killed: they are sent once more, with the key that they had."""


@pytest.mark.parametrize("play", ALL)
async def test_every_run_goes_on_after_one_reconnect_whatever_was_killed(played: dict[str, Seen], play: str) -> None:
    seen = played[play]
    assert seen.completed == seen.runs
    assert seen.left == (0, 0)


@pytest.mark.parametrize("play", ALL)
async def test_every_order_reaches_the_provider_under_one_key(played: dict[str, Seen], play: str) -> None:
    seen = played[play]
    assert len(seen.orders) == seen.runs
    assert seen.orders == [1] * seen.runs or play in LOST_CALLS
    assert Counter(seen.orders).keys() <= {1, 2}


@pytest.mark.parametrize("play", ALL)
async def test_people_are_told_once_that_it_died_and_once_how_many_runs_go_on(
    played: dict[str, Seen], play: str
) -> None:
    seen = played[play]
    assert seen.told == [("needs_reconnect", None), ("reconnected", seen.runs)]
