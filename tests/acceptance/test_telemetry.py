"""What a real worker process tells about itself: traces, metrics, logs, health. One worker, seen from all sides."""

import asyncio
import contextlib
import json
import socket
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from examples.externalsystems import Systems
from runtime.assembly import connect
from runtime.runs import RunFailed
from runtime.temporal_server import TemporalAddress
from tests.fixtures.collector import Collector, attributes_of
from tests.fixtures.processes import tieline_command, worker_process
from tests.fixtures.tieline import PROFILE, Installation, installed
from tests.fixtures.waiting import until

LIMIT = timedelta(seconds=30)
CUSTOMER = "jane.doe"

pytestmark = pytest.mark.timeout(90)


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of a worker that made two calls and was told to stop; `refused` had one attempt that failed."""

    answered: str
    refused: str
    status: int
    ready: tuple[int, Any]
    metrics: str
    log: str
    collector: Collector

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]

    def spans_of(self, run_id: str) -> dict[str, list[Span]]:
        found: dict[str, list[Span]] = {}
        for span in self.collector.spans:
            if attributes_of(span).get("temporalWorkflowID") == run_id:
                found.setdefault(span.name, []).append(span)
        return found


@pytest_asyncio.fixture(scope="module")
async def watched(
    tmp_path_factory: pytest.TempPathFactory,
    temporal_server: TemporalAddress,
    systems: Systems,
    collector: Collector,
) -> Watched:
    folder = tmp_path_factory.mktemp("watched")
    health, metrics = free_address(), free_address()
    settings = {"log_format": "json", "health_address": health, "metrics_address": metrics}
    async with (
        installed(folder / "data", temporal_server.address, systems) as tieline,
        worker_process(tieline, folder, otlp_endpoint=collector.url, **settings) as worker,
        httpx2.AsyncClient(trust_env=False, timeout=20) as web,
    ):
        answered = await tieline.start("flaky", f"/503/{fresh('again')}", query={"q": CUSTOMER})
        await tieline.runs.result(answered.id, timeout=LIMIT)
        refused = await tieline.start("flaky", f"/404/{fresh(CUSTOMER)}", method="POST")
        with contextlib.suppress(RunFailed):
            await tieline.runs.result(refused.id, timeout=LIMIT)
        ready = await web.get(f"http://{health}/readyz")
        exposed = await web.get(f"http://{metrics}/metrics")
        status = await worker.stop()
        return Watched(
            answered.id, refused.id, status, (ready.status_code, ready.json()), exposed.text, worker.log, collector
        )


class Way:
    """A TCP connection to a server that can be cut and mended."""

    def __init__(self, target: str) -> None:
        self._host, _, self._port = target.rpartition(":")
        self.address = free_address()
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        await self._listen()
        try:
            yield
        finally:
            await self._cut()

    @contextlib.asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        await self._cut()
        yield
        await self._listen()

    async def _listen(self) -> None:
        host, _, port = self.address.rpartition(":")
        self._server = await asyncio.start_server(self._accept, host, int(port))

    async def _cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, int(self._port))
        self._writers += [writer, back]
        await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def fresh(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


def test_spans_of_run_and_attempts_reach_the_collector_before_the_process_is_gone(watched: Watched) -> None:
    assert watched.status == 0
    spans = watched.spans_of(watched.answered)
    assert len(spans["RunWorkflow:tieline.run"]) == 1
    assert len(spans["RunActivity:tieline.http_call"]) == 2


def test_attempts_are_linked_to_their_run(watched: Watched) -> None:
    spans = watched.spans_of(watched.answered)
    (run,), (scheduled,) = spans["RunWorkflow:tieline.run"], spans["StartActivity:tieline.http_call"]
    attempts = spans["RunActivity:tieline.http_call"]
    assert scheduled.parent_span_id == run.span_id
    assert {attempt.parent_span_id for attempt in attempts} == {scheduled.span_id}
    assert {span.trace_id for span in (scheduled, *attempts)} == {run.trace_id}


def test_a_failed_attempt_is_marked_with_what_it_means(watched: Watched) -> None:
    (attempt,) = watched.spans_of(watched.refused)["RunActivity:tieline.http_call"]
    assert attempt.status.code == Status.STATUS_CODE_ERROR
    (event,) = attempt.events
    assert {pair.key: pair.value.string_value for pair in event.attributes} == {"exception.type": "CallFailed"}


def test_spans_hold_no_text_of_errors_and_no_customer_data(watched: Watched) -> None:
    assert watched.collector.bodies
    for body in watched.collector.bodies:
        assert CUSTOMER.encode() not in body
        assert b"Traceback" not in body
    assert watched.spans_of(watched.refused)["RunWorkflow:tieline.run"][0].status.message == ""


def test_metrics_count_failed_attempts_by_adapter_profile_and_category(watched: Watched) -> None:
    counters = [line for line in watched.metrics.splitlines() if line.startswith("tieline_call_failures")]
    assert any('category="provider_error"' in line and line.endswith(" 1") for line in counters), counters
    assert any('category="refused"' in line and line.endswith(" 1") for line in counters), counters
    assert all('adapter="flaky"' in line and 'profile="production"' in line for line in counters), counters
    assert "temporal_workflow_completed" in watched.metrics
    assert CUSTOMER not in watched.metrics


def test_each_log_line_is_an_object_with_time_level_and_message(watched: Watched) -> None:
    assert watched.lines()
    for line in watched.lines():
        assert {"time", "level", "logger", "message"} <= line.keys()
        assert line["time"].endswith("+00:00")


def test_a_failed_attempt_is_one_log_line_that_names_run_account_and_category(watched: Watched) -> None:
    lines = [line for line in watched.lines() if line.get("run_id") == watched.refused]
    assert [line | {"time": ""} for line in lines] == [
        {
            "time": "",
            "level": "warning",
            "logger": "temporalio.activity",
            "message": "call failed: refused",
            "run_id": watched.refused,
            "adapter": "flaky",
            "profile": "production",
            "account": "flaky",
            "category": "refused",
            "status": 404,
            "attempt": 1,
        }
    ]
    assert CUSTOMER not in watched.log


def test_a_worker_with_everything_it_needs_is_ready(watched: Watched) -> None:
    assert watched.ready == (200, {"status": "ready", "faults": {}})


@pytest_asyncio.fixture
async def text_worker(idle: Installation, tmp_path: Path) -> AsyncIterator[tuple[Installation, Any]]:
    unreachable = f"http://{free_address()}"
    async with worker_process(idle, tmp_path, otlp_endpoint=unreachable, log_level="warning") as worker:
        yield idle, worker


async def test_people_read_the_same_in_one_line_and_a_dead_collector_holds_up_nobody(
    text_worker: tuple[Installation, Any],
) -> None:
    tieline, worker = text_worker
    started = await tieline.start("flaky", f"/404/{fresh('text')}", method="POST")
    with pytest.raises(RunFailed):
        await tieline.runs.result(started.id, timeout=LIMIT)
    began = asyncio.get_running_loop().time()
    assert await worker.stop() == 0
    assert asyncio.get_running_loop().time() - began < 15
    (line,) = [line for line in worker.log.splitlines() if started.id in line]
    assert "WARNING" in line
    assert line.endswith(
        f"call failed: refused  run_id={started.id}  adapter=flaky  profile=production  account=flaky  "
        "category=refused  status=404  attempt=1"
    )


async def test_readiness_follows_the_way_to_temporal(idle: Installation, tmp_path: Path) -> None:
    health, way = free_address(), Way(idle.stores.settings.temporal_address or "")
    async with httpx2.AsyncClient(trust_env=False, timeout=20) as web, way.open():

        async def asked() -> tuple[int, Any]:
            answer = await web.get(f"http://{health}/readyz")
            return answer.status_code, answer.json()["faults"]

        async def is_ready() -> bool:
            return (await asked())[0] == 200

        async with worker_process(idle, tmp_path, health_address=health, temporal_address=way.address):
            assert await asked() == (200, {})
            async with way.closed():
                status, faults = await asked()
                assert status == 503
                assert list(faults) == ["temporal"]
                assert faults["temporal"].startswith("Temporal does not answer")
                assert (await web.get(f"http://{health}/healthz")).status_code == 200
            await until(is_ready)


async def test_what_temporals_client_complains_of_stands_in_a_workers_log_and_in_no_output(
    idle: Installation, tmp_path: Path
) -> None:
    name, way = fresh("away"), Way(idle.stores.settings.temporal_address or "")
    async with way.open(), worker_process(idle, tmp_path, temporal_address=way.address) as worker:
        call = ("call", "flaky", "GET", f"/ok:wait=30/{name}", "--profile", PROFILE)
        command = asyncio.create_task(tieline_command(idle, *call, temporal_address=way.address))
        await until(lambda: bool(idle.systems.ledger.requests(f"/flaky/ok:wait=30/{name}")), limit=30)
        async with way.closed():
            await until(lambda: "temporalio.core" in worker.log, limit=30)
            ran = await command
        assert (ran.output, ran.status) == ("", 3)
        assert "temporalio" not in worker.output


async def test_only_who_serves_serves_metrics(idle: Installation) -> None:
    """A gateway that collects garbage asks Temporal by one more client, while its own metrics have the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = idle.stores.settings.model_copy(update={"metrics_address": f"127.0.0.1:{taken.getsockname()[1]}"})
        client = await connect(replace(idle.stores, settings=settings), settings.temporal_address or "")
        assert await client.service_client.check_health()


async def test_a_metrics_address_in_use_is_told_with_its_setting(idle: Installation, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = await tieline_command(idle, "worker", metrics_address=address)
    assert ran.status == 2
    assert f"metrics cannot be served at {address} (Address already in use" in ran.errors
    assert "TIELINE_METRICS_ADDRESS" in ran.errors
