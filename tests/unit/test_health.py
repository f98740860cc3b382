import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from runtime import health
from runtime.health import Check, HealthAddressTaken, health_endpoint

Get = Callable[[str], Awaitable[tuple[int, dict[str, object]]]]


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def get(address: str, path: str) -> tuple[int, dict[str, object]]:
    """Status and JSON, over a plain socket."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await asyncio.wait_for(reader.read(), 15)).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    return int(head.split()[1]), json.loads(body)


@asynccontextmanager
async def served(**checks: Check) -> AsyncIterator[Get]:
    address = free_address()
    async with health_endpoint(address, checks):
        yield lambda path: get(address, path)


def told(fault: str | None) -> Check:
    async def check() -> str | None:
        return fault

    return check


async def test_a_process_whose_checks_pass_is_alive_and_ready() -> None:
    async with served(temporal=told(None), database=told(None)) as ask:
        assert await ask("/healthz") == (200, {"status": "alive"})
        assert await ask("/readyz") == (200, {"status": "ready", "faults": {}})


async def test_a_fault_is_named_and_the_process_stays_alive() -> None:
    async with served(temporal=told("Temporal does not answer"), database=told(None)) as ask:
        assert await ask("/readyz") == (
            503,
            {"status": "not ready", "faults": {"temporal": "Temporal does not answer"}},
        )
        assert (await ask("/healthz"))[0] == 200


async def test_readiness_follows_what_is_the_case_now() -> None:
    faults: list[str | None] = ["away", None]

    async def check() -> str | None:
        return faults.pop(0)

    async with served(database=check) as ask:
        assert [(await ask("/readyz"))[0] for _ in range(2)] == [503, 200]


async def test_a_check_that_breaks_is_a_fault_that_tells_no_secret() -> None:
    async def check() -> str | None:
        raise RuntimeError("postgresql://user:xyzzy@db")

    async with served(database=check) as ask:
        assert await ask("/readyz") == (
            503,
            {"status": "not ready", "faults": {"database": "the check itself failed (RuntimeError)"}},
        )


async def test_checks_that_hang_are_faults_together_within_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.2)

    async def check() -> str | None:
        await asyncio.Event().wait()
        return None

    async with served(temporal=check, database=check) as ask:
        began = asyncio.get_running_loop().time()
        status, answer = await ask("/readyz")
        assert status == 503
        assert set(answer["faults"]) == {"temporal", "database"}  # type: ignore[call-overload]
        assert asyncio.get_running_loop().time() - began < 5


async def test_nothing_else_is_served() -> None:
    address = free_address()
    async with health_endpoint(address, {}):
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /docs HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 404")
        writer.close()
        await writer.wait_closed()


async def test_without_an_address_nothing_is_served() -> None:
    async with health_endpoint(None, {"database": told("never asked")}):
        pass


async def test_an_address_in_use_is_an_error_that_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(HealthAddressTaken, match=f"{address} .* TIELINE_HEALTH_ADDRESS"):
            await _entered(health_endpoint(address, {}))


async def test_the_port_is_free_again_afterwards() -> None:
    address = free_address()
    for _ in range(2):
        async with health_endpoint(address, {}):
            assert (await get(address, "/healthz"))[0] == 200


async def _entered(context: AbstractAsyncContextManager[None]) -> None:
    async with context:
        pass
