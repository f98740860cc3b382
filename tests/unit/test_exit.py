import asyncio
import sys
from pathlib import Path

LEAVING = """
import atexit, logging, sys
from runtime.exit import leave

atexit.register(lambda: print("torn down"))
logging.basicConfig(stream=sys.stderr)
sys.stdout.write("out, ")
logging.error("logged")
leave(int(sys.argv[1]))
"""

LEAVING_A_SPAN = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from runtime.exit import leave

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)
with trace.get_tracer("test").start_as_current_span("held back"):
    pass
leave(0)
"""

LEAVING_A_CLOSED_PIPE = """
import os, sys
from runtime.exit import leave

os.close(1)
sys.stdout.write("lost")
leave(0)
"""

CONFTEST = 'pytest_plugins = ["tests.fixtures.temporal"]'
GOOD = "def test_good(): pass"
BAD = "def test_bad(): assert False"


async def run(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def pytest_of(folder: Path, test: str) -> tuple[str, ...]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_one.py").write_text(test)
    return ("-m", "pytest", "-p", "no:cacheprovider", "-c", "pyproject.toml", "--rootdir", str(folder), str(folder))


async def test_leaving_flushes_what_was_written_and_skips_the_teardown() -> None:
    assert await run("-c", LEAVING, "3") == (3, "out, ", "ERROR:root:logged\n")


async def test_leaving_sends_the_spans_that_were_held_back() -> None:
    status, output, _ = await run("-c", LEAVING_A_SPAN)

    assert status == 0
    assert '"name": "held back"' in output


async def test_output_that_could_not_be_written_is_not_a_success() -> None:
    status, _, _ = await run("-c", LEAVING_A_CLOSED_PIPE)

    assert status == 1


async def test_a_test_run_that_passes_keeps_its_status_and_its_summary(tmp_path: Path) -> None:
    status, output, _ = await run(*pytest_of(tmp_path, GOOD))

    assert status == 0
    assert output.rstrip().splitlines()[-1].startswith("1 passed")


async def test_a_test_run_that_fails_keeps_its_status_and_its_summary(tmp_path: Path) -> None:
    status, output, _ = await run(*pytest_of(tmp_path, BAD))

    assert status == 1
    assert output.rstrip().splitlines()[-1].startswith("1 failed")
