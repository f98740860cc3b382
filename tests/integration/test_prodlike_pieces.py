"""The pieces of `make prodlike`, which itself takes minutes: the restart policy, the app that repeats, the shop."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx2
import psutil
import pytest
import pytest_asyncio

from deploy.prodlike.app import App
from deploy.prodlike.outside import ORDERS, Outside
from deploy.prodlike.services import NotReady, Service, kept, until
from tests.fixtures.authorization_server import Token
from tests.fixtures.authorization_server.records import Family
from tests.fixtures.http import Answer, FaultServer, serving

FOREVER = ["sleep", "1000"]


def service(folder: Path, command: list[str]) -> Service:
    return Service("a service", command, {"PATH": "/usr/bin:/bin"}, folder)


async def under_way(kept_service: Service, restarts: int = 0) -> int:
    """The program's process id, once it has been started so often."""
    found: list[int] = []

    async def runs() -> bool:
        if kept_service.restarts < restarts or kept_service.tether is None:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):  # ended just now, and not started again yet
            children = psutil.Process(kept_service.tether).children()
            found[:] = [child.pid for child in children if child.name() == "sleep"]
        return bool(found)

    await until("the program runs", runs, 10, kept_service)
    return found[0]


async def test_a_program_that_is_killed_is_started_again(tmp_path: Path) -> None:
    async with kept(service(tmp_path, FOREVER)) as running:
        first = await under_way(running)
        assert running.kill() == first
        second = await under_way(running, restarts=1)
    assert second != first


async def test_a_program_ends_with_the_block_and_is_not_started_again(tmp_path: Path) -> None:
    async with kept(service(tmp_path, FOREVER)) as running:
        program = await under_way(running)
    assert not psutil.pid_exists(program)
    assert (running.restarts, running.status) == (0, 241)  # SIGTERM: -15, as an exit status


async def test_a_program_ends_also_when_the_block_fails(tmp_path: Path) -> None:
    programs: list[int] = []

    async def fail() -> None:
        async with kept(service(tmp_path, FOREVER)) as running:
            programs.append(await under_way(running))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert [program for program in programs if psutil.pid_exists(program)] == []
    assert len(programs) == 1


async def test_who_waits_in_vain_is_told_the_end_of_the_log(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with kept(service(tmp_path, ["sh", "-c", "echo no key; sleep 1000"])) as running:
        await until("it has said so", lambda: said(running, "no key"), 10)
        with pytest.raises(NotReady, match=r"ready: not within 0\.2 seconds\na service:\n  \| no key"):
            await until("ready", never, 0.2, running)


async def said(running: Service, text: str) -> bool:
    return text in running.tail()


async def test_the_app_repeats_a_request_with_its_key_until_it_knows_the_end(http_server: FaultServer) -> None:
    answers: list[tuple[int, Mapping[str, str]]] = [
        (503, {"category": "temporal_unavailable", "detail": "away"}),
        (202, {"id": "run-1", "state": "running"}),
        (200, {"id": "run-1", "state": "completed"}),
    ]
    http_server.replies("/v1/runs", *(Answer(status, json.dumps(body).encode()) for status, body in answers))

    (push,) = await App(http_server.url, "a-token").push_all(["order-1"], ["shop"])

    assert (push.run, push.state, push.requests) == ("run-1", "completed", 3)
    assert {json.loads(received.body)["key"] for received in http_server.received} == {"order-1"}


async def test_the_app_does_not_repeat_what_was_refused(http_server: FaultServer) -> None:
    http_server.reply("/v1/runs", 422, json.dumps({"category": "unbound", "detail": "no such adapter"}).encode())
    (push,) = await App(http_server.url, "a-token").push_all(["order-1"], ["shop"])
    assert (push.run, push.state, push.requests) == (None, "refused: 422 no such adapter", 1)


@pytest_asyncio.fixture
async def shop() -> AsyncIterator[Outside]:
    """One that answers at once."""
    outside = Outside(0)
    async with serving(outside):
        outside.issue("access-0", "refresh-0")
        yield outside


async def order(shop: Outside, key: str | None, access_token: str = "access-0") -> httpx2.Response:
    headers = {"Authorization": f"Bearer {access_token}"} | ({"Idempotency-Key": key} if key else {})
    async with httpx2.AsyncClient(base_url=shop.url, trust_env=False) as http:
        return await http.post(ORDERS, json={"name": "order-1"}, headers=headers)


@pytest.mark.parametrize(("key", "effects"), [("key-1", 1), (None, 2)])
async def test_the_shop_performs_an_order_once_for_each_key_and_each_time_without(
    shop: Outside, key: str | None, effects: int
) -> None:
    answers = [await order(shop, key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert shop.effects["order-1"] == effects


async def test_the_shop_refuses_a_token_that_has_ended(shop: Outside) -> None:
    shop.memory.tokens.append(Token("ended", None, "on-demand", "read", Family("ann"), lifetime=-1))
    assert (await order(shop, "key-1", "ended")).status_code == 401
    assert shop.effects["order-1"] == 0
