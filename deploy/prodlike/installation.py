"""All services of compose.yaml as processes of this machine: same programs, same commands, same variables."""

import asyncio
import contextlib
import random
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
from temporalio.service import ConnectConfig, RPCError, ServiceClient

from deploy.prodlike.composition import Composition, Place
from deploy.prodlike.postgresql import ROOT, Cluster
from deploy.prodlike.services import Service, inherited, kept, until
from runtime.temporal_binary import Program, go_install
from tests.fixtures.time_skipping import PRODUCTION_SERVER

HOST = "127.0.0.1"
SQL_TOOL = Program("temporal-sql-tool", "go.temporal.io/server/cmd/tools/sql", PRODUCTION_SERVER.version)

READY_SECONDS = 120.0
PARTS_OF_TEMPORAL = ("FRONTEND", "MATCHING", "HISTORY", "WORKER")


@dataclass(frozen=True)
class Passwords:
    """As `deploy/.env` would hold them."""

    values: Mapping[str, str] = field(
        default_factory=lambda: {
            name: secrets.token_hex(16)
            for name in ("POSTGRES_PASSWORD", "TIELINE_DATABASE_PASSWORD", "TEMPORAL_DATABASE_PASSWORD")
        },
        repr=False,
    )

    def __getitem__(self, name: str) -> str:
        return self.values[name]


class Installation:
    """One host's worth of production. Its parts are started one after the other, as compose orders them."""

    def __init__(self, folder: Path, shop: str, stack: contextlib.AsyncExitStack) -> None:
        self.folder = folder
        self.passwords = Passwords()
        self.composition = Composition({**self.passwords.values, "TIELINE_EGRESS_ALLOW": shop})
        self.services: dict[str, Service] = {}
        self._stack = stack
        self._programs = folder / "programs"
        self._ports = _free_ports(24)
        self._health: dict[str, str] = {}
        self.gateway = self._address()
        self.temporal = self._address()
        self.cluster = Cluster(folder / "postgresql", self._ports.pop(), inherited(self._programs))

    async def start_postgresql(self) -> None:
        """An empty cluster, its server, and the roles."""
        password = self.passwords["POSTGRES_PASSWORD"]
        await asyncio.to_thread(self.cluster.make, password)
        command = self.cluster.command(self.composition.command("postgresql")[1:])
        await self._start(Service("postgresql", command, inherited(self._programs), self.folder))
        await asyncio.to_thread(self.cluster.make_roles, password, self.passwords.values)

    async def start_temporal(self) -> None:
        """Its schema, then its server."""
        await self._get_programs()
        schema = {**inherited(self._programs), **self.composition.environment("temporal-schema", *self._database())}
        await _run(["sh", str(ROOT / "deploy" / "temporal" / "schema.sh")], schema)
        command = ["sh", str(ROOT / "deploy" / "temporal" / "start.sh")]
        await self._start(Service("temporal", command, self._temporal_environment(), self.folder))

    async def start_worker(self, number: int) -> Service:
        """One of the two."""
        name = f"worker {number}"
        return await self._start(self._tieline(name, "worker"))

    async def start_gateway(self) -> Service:
        return await self._start(self._tieline("gateway", "gateway"))

    def environment(self, service: str = "tieline") -> dict[str, str]:
        """The variables of a service that is no other's neighbour here, such as a command."""
        return self.composition.environment(service, *self._places(self._address()))

    async def ready(self, name: str) -> bool:
        """Whether a service says that it can work."""
        if name == "postgresql":
            return await self.cluster.answers(self.passwords["POSTGRES_PASSWORD"])
        if name == "temporal":
            return await _is_healthy(self.temporal)
        return await _answers_ready(self._health[name])

    async def until_ready(self, name: str) -> float:
        """Wait for it; returns the seconds that it took."""
        service = self.services[name]
        return await until(f"{name} is ready", lambda: self.ready(name), READY_SECONDS, service)

    async def query(self, statement: str, *values: Any) -> Any:
        """Ask Tieline's own database, as its role."""
        connection = await self.cluster.connect("tieline", self.passwords["TIELINE_DATABASE_PASSWORD"], "tieline")
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    async def _start(self, service: Service) -> Service:
        self.services[service.name] = service
        await self._stack.enter_async_context(kept(service))
        await self.until_ready(service.name)
        return service

    def _tieline(self, name: str, service: str) -> Service:
        self._health[name] = self._address()
        environment = self.composition.environment(service, *self._places(self._health[name]))
        command = [str(Path(sys.executable).with_name("tieline")), *self.composition.command(service)]
        return Service(name, command, {**inherited(self._programs), **environment}, self.folder)

    def _places(self, health: str) -> tuple[Place, ...]:
        return (
            Place("postgresql:5432", f"{HOST}:{self.cluster.port}"),
            Place("temporal:7233", self.temporal),
            Place("/var/lib/tieline-keys", str(self.folder / "keys")),
            Place("/var/lib/tieline", str(self.folder / "data")),
            Place("127.0.0.1:8710", health),
            Place("0.0.0.0:9464", self._address()),
            Place("0.0.0.0:8700", self.gateway),
        )

    def _database(self) -> tuple[Place, ...]:
        return Place("postgresql", HOST), Place("5432", str(self.cluster.port))

    def _temporal_environment(self) -> dict[str, str]:
        dynamic = Place("/etc/temporal", str(ROOT / "deploy" / "temporal"))
        places = (*self._database(), dynamic, Place("0.0.0.0:9090", self._address()))
        # In a container of its own it has the usual ports for itself.
        ports = {
            f"{part}_{kind}_PORT": str(self._ports.pop())
            for part in PARTS_OF_TEMPORAL
            for kind in ("GRPC", "MEMBERSHIP")
        }
        ports |= {"FRONTEND_HTTP_PORT": str(self._ports.pop()), "FRONTEND_GRPC_PORT": self.temporal.rpartition(":")[2]}
        own = {**self.composition.environment("temporal", *places), "BIND_ON_IP": HOST, **ports}
        return {**inherited(self._programs), **own}

    async def _get_programs(self) -> None:
        """By the names that the container knows them by."""
        self._programs.mkdir()
        for name, program in (("temporal-server", PRODUCTION_SERVER), ("temporal-sql-tool", SQL_TOOL)):
            (self._programs / name).symlink_to(await go_install(program))

    def _address(self) -> str:
        return f"{HOST}:{self._ports.pop()}"


@contextlib.asynccontextmanager
async def installation(folder: Path, shop: str) -> AsyncIterator[Installation]:
    """Nothing is started yet; all that is started ends with the body. `shop` is where calls may go."""
    async with contextlib.AsyncExitStack() as stack:
        yield Installation(folder, shop, stack)


async def _run(command: list[str], environment: Mapping[str, str]) -> None:
    """A program that ends by itself, and well.

    Raises:
        subprocess.CalledProcessError: it does not; `output` says why.
    """
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), READY_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        print(output.decode(errors="replace"), file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, command)


async def _is_healthy(address: str) -> bool:
    """As Temporal's frontend says by the health protocol of gRPC."""
    try:
        client = await ServiceClient.connect(ConnectConfig(target_host=address))
        return await client.check_health(timeout=timedelta(seconds=5))
    except (RPCError, RuntimeError):
        return False


async def _answers_ready(address: str) -> bool:
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
            return (await http.get(f"http://{address}/readyz")).status_code == 200
    except httpx2.TransportError:
        return False


def _free_ports(count: int) -> list[int]:
    """Temporal keeps its ports in a `smallint`: they must lie below 32768."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in random.SystemRandom().sample(range(20_000, 32_768), 1000):
            probe = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"fewer than {count} ports between 20000 and 32767 are free")
