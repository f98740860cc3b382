"""What is started, killed and counted, in order."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from deploy.prodlike.app import App, Push
from deploy.prodlike.installation import Installation
from deploy.prodlike.outside import AHEAD, ON_DEMAND, Outside
from deploy.prodlike.people import ACCOUNTS, ADAPTERS, AHEAD_ACCOUNTS, REVOKED, SECRETS, UNKEYED, People
from deploy.prodlike.services import until
from examples.demo.commands import CommandLine
from examples.demo.narration import Narrator

Condition = Callable[[], Awaitable[bool]]

DEFINITIONS, PROFILE = Path("deploy/prodlike/definitions.yaml"), Path("deploy/prodlike/profile.yaml")

PUSHES = 24
PARKED = 12
VICTIMS = ("worker 1", "worker 2", "gateway", "temporal", "postgresql")

SWEEP_SECONDS = 120.0
"""One begins every 30 seconds, and the process that was killed has to come back first."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One victim, and what was counted."""

    victim: str
    pushes: list[Push]
    at_work: int
    back_after: float


class Story:
    """One telling."""

    def __init__(self, narrator: Narrator, production: Installation, outside: Outside) -> None:
        self._narrator = narrator
        self._production = production
        self._outside = outside
        self._tieline = CommandLine(narrator, {**production.environment(), **SECRETS})
        self._people = People(self._tieline, outside)
        self._app = App(f"http://{production.gateway}", "")

    async def tell(self) -> None:
        """All chapters."""
        await self.start()
        await self.connect()
        await self.push()
        await self.kill_each()
        await self.dead_grant()
        await self.unsafe()
        await self.afterwards()

    async def start(self) -> None:
        """The services, in the order in which compose starts them."""
        self._narrator.chapter(
            "Production on this machine",
            "The services of deploy/compose.yaml as processes: the same programs, commands and variables, each under a "
            "restart policy. Only the places differ: ports of loopback, folders of a temporary directory.",
        )
        production = self._production
        with self._narrator.step("PostgreSQL, a cluster of its own, and its roles"):
            await production.start_postgresql()
            version = await production.query("SHOW server_version")
            self._narrator.expect(f"PostgreSQL {version[0][0]} at port {production.cluster.port}", True)
        with self._narrator.step("Temporal: its schema, then its server"):
            await production.start_temporal()
            self._narrator.expect(f"answers at {production.temporal}", True)
        with self._narrator.step("Prepare: Tieline's schema, the first key, the namespace"):
            outcome = await self._tieline("prepare")
            self._narrator.expect("exit status 0", outcome.status, 0)
        with self._narrator.step("A token for the app, without which no gateway opens to others"):
            command = ("tokens", "create", "shop", "--scope", "runs:start", "--scope", "runs:read")
            outcome = await self._tieline.untold(*command)
            self._app.token = next(iter(re.findall(r"tieline_\S+", outcome.output)), "no token")
            self._narrator.command(f"tieline {' '.join(command)}")
            self._narrator.output(outcome.output.replace(self._app.token, "tieline_…"))
            self._narrator.expect("there is one", outcome.status, 0)
        with self._narrator.step("Two workers and a gateway"):
            await asyncio.gather(production.start_worker(1), production.start_worker(2), production.start_gateway())
            ready = [name for name in ("worker 1", "worker 2", "gateway") if await production.ready(name)]
            self._narrator.expect("all three say that they are ready", len(ready), 3)
        with self._narrator.step("Nobody comes in without a token"):
            async with httpx2.AsyncClient(base_url=self._app.url, trust_env=False) as http:
                answer = await http.get("/v1/runs")
            self._narrator.expect("401", answer.status_code, 401)

    async def connect(self) -> None:
        """Accounts at the shop, each with a person's consent."""
        self._narrator.chapter(
            "Accounts with short-lived tokens",
            f"""A strict OAuth server: every refresh token serves once, one that comes again ends its family, without
            any grace. The tokens of {len(ADAPTERS) + 1} accounts live {ON_DEMAND.lifetime} seconds and are renewed by
            the calls that need them, those of {len(AHEAD_ACCOUNTS)} live {AHEAD.lifetime} seconds and are renewed by
            the sweep.""",
        )
        with self._narrator.step("Publish the shop, create accounts, bind them in a profile"):
            await self._tieline("apply", str(DEFINITIONS))
            statuses = [outcome.status for outcome in await self._people.create()]
            self._narrator.expect(f"{len(statuses)} accounts were created", set(statuses), {0})
            self._narrator.expect("exit status 0", (await self._tieline("apply", str(PROFILE))).status, 0)
        with self._narrator.step("Connect each: a browser follows the link through the gateway, and consents"):
            self._outside.redirect_to(f"{self._app.url}/connect/callback")
            self._narrator.command(f"tieline accounts connect {ADAPTERS[0]} --url {self._app.url}   # and so on")
            pages = await asyncio.gather(*(self._people.connect(account, self._app.url) for account in ACCOUNTS))
            connected = sum("connected" in page for page in pages)
            self._narrator.expect(f"{len(ACCOUNTS)} accounts are connected", connected, len(ACCOUNTS))
        with self._narrator.step("The doctor is content"):
            self._narrator.expect("exit status 0", (await self._tieline("doctor")).status, 0)

    async def push(self) -> None:
        """The usual case."""
        self._narrator.chapter(
            "Pushes",
            "An app pushes orders through POST /v1/runs, each with a key of its own, and repeats a request with the "
            "same key until it knows how it ended.",
        )
        with self._narrator.step(f"{PUSHES} pushes, nothing goes wrong"):
            began = time.monotonic()
            pushes = await self._app.push_all(self._names("calm"), list(ADAPTERS))
            self._expect_all_once(pushes)
            self._narrator.say(f"{time.monotonic() - began:.1f} seconds, each order taking the shop a second or two.")

    async def kill_each(self) -> None:
        """The point of it all."""
        self._narrator.chapter(
            "Each process is killed with SIGKILL while pushes are under way",
            "The restart policy brings it back. Before each kill all tokens of the sweep's accounts are made due, so "
            "that it has work to go on with.",
        )
        for victim in VICTIMS:
            with self._narrator.step(f"Kill {victim}"):
                before = await self._make_due()
                killed_at = datetime.now(UTC)
                kill = await self._kill(victim)
                self._narrator.expect(
                    f"{kill.at_work} orders were at work, their answers still to come", kill.at_work > 0
                )
                self._narrator.expect(f"it was back and ready after {kill.back_after:.1f} seconds", True)
                self._expect_all_once(kill.pushes)
                await self._expect_sweep(before, killed_at)
                self._expect_families()

    async def dead_grant(self) -> None:
        """Runs that wait for a person, while everything under them is killed."""
        self._narrator.chapter(
            "A grant is taken back at the provider",
            "Pushes that need it wait. The workers and the gateway are killed meanwhile; one consent wakes all.",
        )
        with self._narrator.step("Connect one more account, and take its grant back"):
            outcome = await self._people.create_another(REVOKED)
            page = await self._people.connect(REVOKED, self._app.url)
            self._outside.end_newest_grant()
            self._narrator.expect("it was connected", (outcome.status, "connected" in page), (0, True))
        names = [f"order-parked-{number}" for number in range(PARKED)]
        pushing = asyncio.create_task(self._app.push_all(names, [REVOKED]))
        try:
            with self._narrator.step(f"{PARKED} pushes wait for it"):
                await until("they wait", self._wait_for_reconnect(PARKED), 60)
                await self._tieline("doctor")
                self._narrator.expect("none was performed", sum(self._outside.effects[name] for name in names), 0)
            with self._narrator.step("Kill both workers and the gateway"):
                victims = ("worker 1", "worker 2", "gateway")
                for victim in victims:
                    self._production.services[victim].kill()
                await asyncio.gather(*(until(f"{victim} has gone", self._away(victim), 30) for victim in victims))
                await asyncio.gather(*map(self._production.until_ready, victims))
                self._narrator.expect(f"{PARKED} still wait", await self._app.count("waiting_for_reconnect"), PARKED)
            with self._narrator.step("Connect it again"):
                self._narrator.command(f"tieline accounts connect {REVOKED} --url {self._app.url}")
                page = await self._people.connect(REVOKED, self._app.url)
                self._narrator.expect("it is connected", "connected" in page)
                self._expect_all_once(await pushing)
        finally:
            pushing.cancel()

    async def unsafe(self) -> None:
        """What a call does that must not be repeated."""
        self._narrator.chapter(
            "A call that must not be repeated",
            "The same shop, believed to know no keys. What was sent when its worker was killed may have been "
            "performed: it is not sent again, and waits for a person.",
        )
        with self._narrator.step("Kill both workers with such an order at work"):
            requests = self._outside.requests
            outcome = await self._tieline(
                *("call", UNKEYED, "POST", "/api/orders", "--profile", "production"),
                *("--json", '{"name": "unkeyed"}', "--no-wait"),
            )
            await until("the order is at work", self._busy(1), 30)
            for name in ("worker 1", "worker 2"):
                self._production.services[name].kill()
            for name in ("worker 1", "worker 2"):
                await self._production.until_ready(name)
            await until("the run waits", self._stands(outcome.run, "waiting_for_decision"), 120)
            await self._tieline("runs", "show", outcome.run)
            self._narrator.expect("sent once", self._outside.requests - requests, 1)
            self._narrator.expect("performed once", self._outside.effects["unkeyed"], 1)
        with self._narrator.step("Somebody looks at the shop, finds the order, and decides"):
            decide = ("runs", "decide", outcome.run, "skip", "--who", "grace", "--why", "found it in the shop")
            await self._tieline(*decide)
            await until("the run ends", self._stands(outcome.run, "completed"), 60)
            self._narrator.expect("completed, and still performed once", self._outside.effects["unkeyed"], 1)

    async def afterwards(self) -> None:
        """The sums."""
        self._narrator.chapter("What came of it")
        memory, app = self._outside.memory, self._app
        with self._narrator.step("Count"):
            accepted = [push for push in app.pushes if push.run]
            self._narrator.expect(
                f"{len(accepted)} of {len(app.pushes)} pushes accepted", len(accepted), len(app.pushes)
            )
            self._narrator.expect(f"{len(accepted)} runs ended well", {push.state for push in accepted}, {"completed"})
            self._narrator.expect("each order performed exactly once", set(self._outside.effects.values()), {1})
            restarts = {name: service.restarts for name, service in self._production.services.items()}
            self._narrator.say(
                f"""{self._outside.requests} requests reached the shop; {self._outside.replays} came again with a key
                that it knew, {self._outside.refused} with a token that had ended. {memory.redemptions} refresh tokens
                were used. Started again: {_listed(restarts)}. While something was away, the app was told:
                {_listed(app.away)}."""
            )
            self._expect_families()
        with self._narrator.step("The doctor is content"):
            self._narrator.expect("exit status 0", (await self._tieline("doctor")).status, 0)

    async def _kill(self, victim: str) -> Kill:
        """Push, wait until the shop is at work, kill, and wait for everything."""
        production = self._production
        pushing = asyncio.create_task(self._app.push_all(self._names(victim.replace(" ", "-")), list(ADAPTERS)))
        try:
            await until("orders are at work", self._busy(PUSHES // 4), 60)
            at_work = self._outside.at_work
            killed = time.monotonic()
            production.services[victim].kill()
            await until("it has gone", self._away(victim), 30)
            await production.until_ready(victim)
            back_after = time.monotonic() - killed
            return Kill(victim, await pushing, at_work, back_after)
        finally:
            pushing.cancel()

    def _names(self, what: str) -> list[str]:
        return [f"order-{what}-{number}" for number in range(PUSHES)]

    async def _make_due(self) -> dict[str, int]:
        """Their token versions before."""
        await self._production.query(
            "UPDATE tokens SET refresh_at = extract(epoch FROM now()) - 1 FROM accounts "
            "WHERE accounts.id = tokens.account_id AND accounts.name LIKE 'ahead-%'"
        )
        return await self._versions()

    async def _versions(self) -> dict[str, int]:
        rows = await self._production.query(
            "SELECT name, tokens.version FROM tokens JOIN accounts ON accounts.id = tokens.account_id "
            "WHERE name LIKE 'ahead-%'"
        )
        return {row["name"]: row["version"] for row in rows}

    async def _expect_sweep(self, before: dict[str, int], killed_at: datetime) -> None:
        async def renewed() -> bool:
            return all(version > before[name] for name, version in (await self._versions()).items())

        await until("the sweep renews what is due", renewed, SWEEP_SECONDS, *self._production.services.values())
        seconds = (datetime.now(UTC) - killed_at).total_seconds()
        self._narrator.expect(f"the sweep has renewed {len(before)} tokens within {seconds:.0f} seconds", True)

    def _expect_all_once(self, pushes: list[Push]) -> None:
        states = {push.state for push in pushes}
        self._narrator.expect(f"{len(pushes)} pushes accepted, {len(pushes)} runs ended well", states, {"completed"})
        effects = [self._outside.effects[push.name] for push in pushes]
        self._narrator.expect(f"{len(pushes)} orders performed, each once", effects, [1] * len(pushes))
        slowest, repeated = max(push.seconds for push in pushes), sum(push.requests > 1 for push in pushes)
        self._narrator.say(f"The slowest took {slowest:.1f} seconds; {repeated} were asked for more than once.")

    def _expect_families(self) -> None:
        outside = self._outside
        alive = outside.families - outside.ended_grants - outside.lost_families
        self._narrator.expect(f"{alive} token families alive, none lost", outside.lost_families, 0)
        self._narrator.expect("no refresh token used twice", outside.memory.reuses, 0)

    def _busy(self, at_least: int) -> Condition:
        async def holds() -> bool:
            return self._outside.at_work >= at_least

        return holds

    def _away(self, victim: str) -> Condition:
        service = self._production.services[victim]
        restarts = service.restarts

        async def holds() -> bool:
            return service.restarts > restarts

        return holds

    def _wait_for_reconnect(self, count: int) -> Condition:
        async def holds() -> bool:
            return await self._app.count("waiting_for_reconnect") == count

        return holds

    def _stands(self, run: str, state: str) -> Condition:
        async def holds() -> bool:
            return await self._app.state(run) == state

        return holds


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} ({count})" for what, count in counts.items()) or "nothing"
