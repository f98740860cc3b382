"""`tieline prepare`: what an installation rests on, made ready before its processes start."""

import json
import uuid
from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from runtime.assembly import TemporalUnreachable
from runtime.prepare import prepare
from runtime.settings import Settings
from runtime.temporal_namespace import RETENTION
from tests.fixtures.processes import tieline_command, worker_process
from tests.fixtures.tieline import Installation


async def test_a_worker_starts_in_a_namespace_that_was_prepared(idle: Installation, tmp_path: Path) -> None:
    namespace = f"prepared-{uuid.uuid4().hex[:8]}"

    ran = await tieline_command(idle, "prepare", "--output", "json", temporal_namespace=namespace)

    assert (ran.status, ran.errors) == (0, "")
    told = json.loads(ran.output)
    assert (told["database"], told["namespace"]) == ("sqlite", namespace)
    async with worker_process(idle, tmp_path, temporal_namespace=namespace) as worker:
        assert "Tieline is up" in worker.output


async def test_closed_runs_can_be_read_for_a_month_in_a_prepared_namespace(idle: Installation) -> None:
    namespace = f"prepared-{uuid.uuid4().hex[:8]}"

    await tieline_command(idle, "prepare", temporal_namespace=namespace)

    client = await Client.connect(idle.stores.settings.temporal_address or "", namespace=namespace)
    found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    assert found.config.workflow_execution_retention_ttl.ToTimedelta() == RETENTION


async def test_what_is_ready_is_told_again_and_left_alone(idle: Installation) -> None:
    first, second = [await tieline_command(idle, "prepare") for _ in range(2)]
    assert (first.status, second.status) == (0, 0)
    assert first.output == second.output
    assert "namespace default" in first.output


async def test_a_server_that_does_not_answer_in_time_is_named(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, temporal_address="127.0.0.1:9")
    with pytest.raises(TemporalUnreachable, match=r"127\.0\.0\.1:9 is not ready after 0\.2 seconds"):
        await prepare(settings, limit=0.2)
