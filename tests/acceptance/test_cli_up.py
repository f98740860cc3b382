"""`tieline up` and `tieline worker` as processes: started, found, stopped, killed, started again."""

import asyncio
import json
import signal
import socket
from pathlib import Path

from examples.externalsystems import Systems
from tests.fixtures.commandline import Tieline, definitions, tieline_in, up
from tests.fixtures.processes import END_SECONDS, READY_SECONDS
from tests.fixtures.waiting import until


async def test_started_again_it_finds_its_runs_and_one_that_waits_goes_on(tmp_path: Path, systems: Systems) -> None:
    tieline = tieline_in(tmp_path, systems)
    (tmp_path / "all.yaml").write_text(definitions(systems))
    async with up(tieline, log=tmp_path / "up.log") as (first, _):
        await tieline("apply", str(tmp_path / "all.yaml"))
        await tieline("accounts", "create", "parcels", "--integration", "parcels")
        waits = await tieline("call", "parcels", "POST", "cut/again-desk", "--json", "{}", "--wait", "2", "-o", "json")
        run_id = json.loads(waits.output)["error"]["run"]

    async with up(tieline, log=tmp_path / "up.log") as (second, _):
        found = await tieline("runs", "list", "--state", "waiting_for_decision", "-o", "json")
        decided = await tieline("runs", "decide", run_id, "retry", "--why", "it never arrived")
        result = await tieline("runs", "result", run_id)

    assert [run["id"] for run in json.loads(found.output)] == [run_id]
    assert (decided.status, result.status) == (0, 0)
    assert systems.ledger.effects("again-desk") == 2
    assert (first.returncode, second.returncode) == (0, 0)
    assert "Traceback" not in (tmp_path / "up.log").read_text()


async def test_a_second_one_for_the_same_folder_names_the_first(tieline_up: Tieline) -> None:
    ran = await tieline_up.process("up")

    assert ran.status == 3
    assert f"Temporal already runs for the data folder {tieline_up.folder} (process " in ran.errors
    assert "choose another TIELINE_DATA_DIR" in ran.errors


async def test_a_port_that_is_taken_is_named_with_its_setting(tmp_path: Path, systems: Systems) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = await tieline_in(tmp_path, systems).process("up", temporal_port=port)

    assert ran.status == 3
    assert f"port {port} is taken: set TIELINE_TEMPORAL_PORT to a free one" in ran.errors


async def test_a_worker_beside_it_ends_well_at_ctrl_c(tieline_up: Tieline) -> None:
    worker = await tieline_up.start("worker", task_queue="queue-polite")
    assert worker.stdout is not None

    first = await asyncio.wait_for(worker.stdout.readline(), READY_SECONDS)
    worker.send_signal(signal.SIGINT)
    rest, errors = await asyncio.wait_for(worker.communicate(), END_SECONDS)

    assert first == b"Tieline is up. Ctrl-C stops it; started again, it finds its old runs.\n"
    assert worker.returncode == 0
    assert b"stopping: calls under way have 30 seconds to end" in errors
    assert b"Traceback" not in errors + rest


async def test_a_second_signal_ends_it_at_once_and_the_call_under_way_is_not_forgotten(
    tieline_up: Tieline, systems: Systems, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with log.open("wb") as errors:
        worker = await tieline_up.start("worker", stderr=errors, task_queue="queue-impatient")
    assert worker.stdout is not None
    await asyncio.wait_for(worker.stdout.readline(), READY_SECONDS)
    call = ("call", "parcels", "PUT", "ok:wait=60/impatient", "--timeout", "90s", "--no-wait")
    run_id = (await tieline_up(*call, task_queue="queue-impatient")).output.strip()
    await until(lambda: bool(systems.ledger.requests("/flaky/ok:wait=60/impatient")))

    worker.send_signal(signal.SIGTERM)
    await until(lambda: "stopping: calls under way" in log.read_text())
    worker.send_signal(signal.SIGTERM)
    status = await asyncio.wait_for(worker.wait(), END_SECONDS)
    shown = await tieline_up("runs", "show", run_id, "-o", "json")

    assert status == 128 + signal.SIGTERM
    assert json.loads(shown.output)["state"] == "running"
