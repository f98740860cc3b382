"""Real workers: killed, stopped and woken at the instants that the seed says, and started again at once."""

import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import psutil

from tests.soak.ledger import Ledger, Loss
from tests.soak.plan import Plan

PROGRAMS = {False: "worker", True: "tests.soak.hasty_worker"}
READY_SECONDS = 120.0
END_SECONDS = 60.0
ALIVE = 2
"""Nobody is killed before so many are at work: workers that only start would prove nothing."""


class Place:
    """Where a worker runs, one process after the other."""

    def __init__(self, folder: Path, program: str, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._program = program
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._out = folder / "out"
        self.stopped = False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether its worker has announced itself and is there to be killed."""
        if self._process is None or self.stopped:
            return False
        announced = self._out.stat().st_size > 0
        assert self._process.returncode is None or not announced, f"a worker ended by itself: {self._folder}/log"
        return announced

    @property
    def gave_up(self) -> bool:
        """Whether its worker ended before it was ready, as one does when the database is locked for long."""
        return self._process is not None and self._process.returncode is not None and not self.ready

    async def start(self) -> None:
        with self._out.open("wb") as out, (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", self._program), stdout=out, stderr=log, env={**os.environ, **self._environment}
            )

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def end(self) -> None:
        """Ask it to end in good order, as a supervisor does."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), END_SECONDS)
        except TimeoutError:
            await self.kill()


class Workers:
    """All places; whoever is killed or stopped is written down."""

    def __init__(self, plan: Plan, folder: Path, environment: Mapping[str, str], ledger: Ledger) -> None:
        self._plan = plan
        self._ledger = ledger
        self._random = random.Random(f"{plan.seed} the killer")
        self._waking: set[asyncio.Task[None]] = set()
        self.places = []
        for number in range(plan.workers):
            (folder / f"worker-{number}").mkdir()
            self.places.append(Place(folder / f"worker-{number}", PROGRAMS[plan.hasty], environment))

    def pids(self) -> list[int]:
        return [place.pid for place in self.places]

    async def ready(self, at_least: int = 1) -> list[Place]:
        """Wait until so many can be killed."""
        deadline = time.monotonic() + READY_SECONDS
        while len(found := [place for place in self.places if place.ready]) < at_least:
            assert time.monotonic() < deadline, "no worker became ready"
            for place in self.places:
                if place.gave_up:
                    self._ledger.gave_up += 1
                    await place.start()
            await asyncio.sleep(0.05)
        return found

    async def strike(self) -> AsyncIterator[int]:
        """Kill as often as planned; yields how often it was done."""
        ends = time.monotonic() + self._plan.seconds_limit
        for number in range(1, self._plan.kills + 1):
            await asyncio.sleep(self._random.uniform(self._plan.least_between, self._plan.most_between))
            victim = self._random.choice(await self.ready(ALIVE))
            if time.monotonic() > ends:
                return
            self._ledger.losses.append(Loss(victim.pid, time.monotonic()))
            await victim.kill()
            await victim.start()
            if self._plan.pause_each and number % self._plan.pause_each == 0:
                self._stop(self._random.choice(await self.ready()))
            yield number

    async def woken(self) -> None:
        """Wait until everybody who was stopped goes on."""
        await asyncio.gather(*self._waking)

    def _stop(self, place: Place) -> None:
        seconds = self._random.uniform(*self._plan.pause)
        now = time.monotonic()
        psutil.Process(place.pid).suspend()
        place.stopped = True
        self._ledger.losses.append(Loss(place.pid, now, now + seconds))
        self._waking.add(asyncio.create_task(self._wake(place, seconds)))

    async def _wake(self, place: Place, seconds: float) -> None:
        await asyncio.sleep(seconds)
        psutil.Process(place.pid).resume()
        place.stopped = False


@contextlib.asynccontextmanager
async def running(plan: Plan, folder: Path, environment: Mapping[str, str], ledger: Ledger) -> AsyncIterator[Workers]:
    """Workers that are ready; they end with the body in good order."""
    made = Workers(plan, folder, environment, ledger)
    try:
        for place in made.places:
            await place.start()
        await made.ready(plan.workers)
        yield made
        await made.woken()
    finally:
        await asyncio.gather(*(_ended(place) for place in made.places))


async def _ended(place: Place) -> None:
    if place.stopped:
        psutil.Process(place.pid).kill()
    with contextlib.suppress(AssertionError):
        await place.end()
