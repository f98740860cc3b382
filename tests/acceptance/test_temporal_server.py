"""The embedded server and the one that skips time, run for real."""

import asyncio
import contextlib
import os
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError
from temporalio.testing import TimeSkipper, TimeSkippingConfig
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from runtime.search_attributes import SearchAttributesMissing, register_search_attributes
from runtime.settings import Settings
from runtime.temporal_binary import TemporalServerError
from runtime.temporal_server import HOST, TemporalAddress, embedded_temporal, find_temporal
from tests.fixtures.waiting import until
from workflows.attributes import ADAPTER, ALL


@workflow.defn
class LongSleep:
    @workflow.run
    async def run(self, days: int) -> float:
        before = workflow.now()
        await asyncio.sleep(timedelta(days=days).total_seconds())
        return (workflow.now() - before) / timedelta(days=1)


def settings_for(folder: Path, *, port: int | None = None, namespace: str = "default") -> Settings:
    return Settings(data_dir=folder, temporal_address=None, temporal_port=port, temporal_namespace=namespace)


@contextlib.asynccontextmanager
async def working(client: Client, *, queue: str, max_concurrent_workflow_tasks: int = 10) -> AsyncIterator[None]:
    async with Worker(
        client,
        task_queue=queue,
        workflows=[LongSleep],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_tasks=max_concurrent_workflow_tasks,
    ):
        yield


async def test_closed_runs_are_kept_for_thirty_days(temporal_server: TemporalAddress) -> None:
    client = await Client.connect(temporal_server.address)

    described = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))

    assert described.config.workflow_execution_retention_ttl.ToTimedelta() == timedelta(days=30)


async def test_runs_are_found_by_their_search_attributes(temporal_server: TemporalAddress) -> None:
    client = await Client.connect(temporal_server.address)
    adapter = f"crm-{uuid.uuid4()}"

    handle = await client.start_workflow(
        "tieline.none",
        id=f"attributes-{uuid.uuid4()}",
        task_queue="nobody",
        search_attributes=TypedSearchAttributes([SearchAttributePair(ADAPTER, adapter)]),
    )

    async def found() -> bool:
        return (await client.count_workflows(f"{ADAPTER.name} = '{adapter}'")).count == 1

    await until(found)
    await handle.terminate()


async def test_registering_search_attributes_again_changes_nothing(temporal_server: TemporalAddress) -> None:
    client = await Client.connect(temporal_server.address)

    await register_search_attributes(client)

    assert (await client.count_workflows(" AND ".join(f"{key.name} = 'x'" for key in ALL))).count == 0


async def test_a_long_backlog_of_one_account_does_not_hold_up_another(temporal_server: TemporalAddress) -> None:
    client = await Client.connect(temporal_server.address)
    queue = f"queue-{uuid.uuid4()}"
    ended: list[str] = []

    async def start(account: str) -> WorkflowHandle[LongSleep, float]:
        return await client.start_workflow(
            LongSleep.run, 0, id=f"fair-{uuid.uuid4()}", task_queue=queue, priority=Priority(fairness_key=account)
        )

    async def watch(account: str, handle: WorkflowHandle[LongSleep, float]) -> None:
        await handle.result()
        ended.append(account)

    runs = [(account, await start(account)) for account in ["noisy"] * 40 + ["quiet"] * 2]
    async with working(client, queue=queue, max_concurrent_workflow_tasks=2):
        await asyncio.gather(*(watch(account, handle) for account, handle in runs))

    assert "quiet" not in ended[20:]


async def test_a_search_attribute_of_another_type_is_reported_and_left_alone(temporal_server: TemporalAddress) -> None:
    namespace = f"foreign-{uuid.uuid4().hex[:8]}"
    client = await Client.connect(temporal_server.address, namespace=namespace)
    registration = RegisterNamespaceRequest(namespace=namespace)
    registration.workflow_execution_retention_period.FromTimedelta(timedelta(days=1))
    await client.workflow_service.register_namespace(registration)
    as_number = AddSearchAttributesRequest(
        namespace=namespace, search_attributes={ADAPTER.name: IndexedValueType.INDEXED_VALUE_TYPE_INT}
    )

    async def added() -> bool:
        with contextlib.suppress(RPCError):  # until the namespace is known everywhere
            await client.operator_service.add_search_attributes(as_number)
            return True
        return False

    await until(added)

    with pytest.raises(SearchAttributesMissing, match=f"'{namespace}' has TielineAdapter with a type other"):
        await register_search_attributes(client)


async def test_a_server_started_again_finds_its_old_runs(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, namespace="another")
    async with embedded_temporal(settings) as first:
        client = await Client.connect(first.address, namespace="another")
        await client.start_workflow("tieline.none", id="old", task_queue="nobody")

    async with embedded_temporal(settings) as second:
        client = await Client.connect(second.address, namespace="another")
        description = await client.get_workflow_handle("old").describe()

    assert description.workflow_type == "tieline.none"


async def test_a_second_server_for_the_same_data_folder_is_refused(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with embedded_temporal(settings) as first:
        with pytest.raises(TemporalServerError, match=f"already runs .*process {os.getpid()}, {first.address}"):
            async with embedded_temporal(settings):
                pass


async def test_other_processes_find_the_server_while_it_runs(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with embedded_temporal(settings) as running:
        assert find_temporal(settings) == running

    with pytest.raises(TemporalServerError, match="tieline up"):
        find_temporal(settings)


async def test_a_configured_server_is_used_and_none_is_started(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, temporal_address="temporal.internal:7233")

    async with embedded_temporal(settings) as address:
        assert address == TemporalAddress("temporal.internal:7233")
    assert find_temporal(settings) == address
    assert os.listdir(tmp_path) == []


async def test_servers_of_two_data_folders_run_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    async with (
        embedded_temporal(settings_for(tmp_path / "a")) as first,
        embedded_temporal(settings_for(tmp_path / "b")) as second,
    ):
        assert first.address != second.address
        assert first.ui != second.ui


async def test_a_configured_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(TemporalServerError, match=f"port {port} is taken: set TIELINE_TEMPORAL_PORT"):
            async with embedded_temporal(settings_for(tmp_path, port=port)):
                pass


async def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "temporal").mkdir()
    (tmp_path / "temporal" / "temporal.db").write_text("This is no database. " * 500)

    with pytest.raises(TemporalServerError, match=r"(?s)ended while starting:\n.*file is not a database"):
        async with embedded_temporal(settings_for(tmp_path)):
            pass


SERVE = """
import asyncio, sys
from pathlib import Path
from runtime.settings import Settings
from runtime.temporal_server import embedded_temporal

async def main():
    settings = Settings(data_dir=Path(sys.argv[1]), temporal_address=None, temporal_port=None)
    async with embedded_temporal(settings) as temporal:
        print(temporal.address, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_server_ends_when_its_starter_is_killed_and_its_folder_can_be_used_again(tmp_path: Path) -> None:
    starter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVE, str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert starter.stdout is not None
    await starter.stdout.readline()
    descendants = psutil.Process(starter.pid).children(recursive=True)
    assert any(process.name() == "temporal" for process in descendants)
    starter.kill()
    await starter.communicate()

    async with embedded_temporal(settings_for(tmp_path)) as again:
        assert find_temporal(settings_for(tmp_path)) == again
        await until(lambda: not any(process.is_running() for process in descendants))


async def test_a_month_of_sleep_takes_seconds_on_the_server_that_skips_time(
    time_skipping_server: TemporalAddress,
) -> None:
    client = TimeSkipper(await Client.connect(time_skipping_server.address), config=TimeSkippingConfig()).client
    queue = f"queue-{uuid.uuid4()}"
    started = time.monotonic()

    async with working(client, queue=queue):
        slept = await client.execute_workflow(LongSleep.run, 30, id=f"sleep-{uuid.uuid4()}", task_queue=queue)

    assert slept >= 30
    assert time.monotonic() - started < 30
