"""The external system of the examples that misbehaves by script, over real HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from examples.externalsystems import Systems, serve
from examples.externalsystems.script import ScriptError, Step, parse_script
from tests.fixtures.http import NO_TLS


@pytest_asyncio.fixture(scope="module")
async def systems() -> AsyncIterator[Systems]:
    async with serve() as systems:
        yield systems


@pytest_asyncio.fixture
async def flaky(systems: Systems) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=systems.flaky_url + "/flaky", trust_env=False, verify=NO_TLS) as client:
        yield client


async def test_503_answers_come_as_often_as_the_script_says_and_then_the_thing_is_done_once(
    flaky: httpx2.AsyncClient, systems: Systems
) -> None:
    statuses = [(await flaky.post("/503x2/parcel-503")).status_code for _ in range(3)]

    assert statuses == [503, 503, 200]
    assert systems.ledger.effects("parcel-503") == 1


async def test_429_says_when_to_come_back(flaky: httpx2.AsyncClient) -> None:
    first = await flaky.post("/429x1:after=1/parcel-429")
    second = await flaky.post("/429x1:after=1/parcel-429")

    assert (first.status_code, first.headers["retry-after"]) == (429, "1")
    assert (second.status_code, "retry-after" in second.headers) == (200, False)


async def test_names_are_independent_of_one_another(flaky: httpx2.AsyncClient) -> None:
    await flaky.post("/503/parcel-a")

    assert (await flaky.post("/503/parcel-b")).status_code == 503
    assert (await flaky.post("/503/parcel-a")).status_code == 200


async def test_a_cut_request_had_its_effect_and_gets_no_answer(flaky: httpx2.AsyncClient, systems: Systems) -> None:
    with pytest.raises(httpx2.ReadError):
        await flaky.post("/cut/parcel-cut", json={"weight": 3})

    (entry,) = systems.ledger.requests("/flaky/cut/parcel-cut")
    assert (entry.effect, entry.status) == (True, None)
    assert systems.ledger.effects("parcel-cut") == 1


async def test_a_cut_in_order_closes_without_an_answer(flaky: httpx2.AsyncClient, systems: Systems) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await flaky.post("/cut:by=fin/parcel-fin", json={"weight": 3})

    assert systems.ledger.effects("parcel-fin") == 1


async def test_an_unread_request_had_no_effect(flaky: httpx2.AsyncClient, systems: Systems) -> None:
    with pytest.raises(httpx2.TransportError):
        await flaky.post("/unread/parcel-unread", content=b"x" * 500_000)

    (entry,) = systems.ledger.requests("/flaky/unread/parcel-unread")
    assert entry.effect is False
    assert systems.ledger.effects("parcel-unread") == 0


async def test_a_truncated_answer_ends_in_its_middle(flaky: httpx2.AsyncClient, systems: Systems) -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete"):
        await flaky.post("/truncate/parcel-truncated")

    assert systems.ledger.effects("parcel-truncated") == 1


async def test_a_dripping_answer_takes_its_time(flaky: httpx2.AsyncClient) -> None:
    start = time.monotonic()

    reply = await flaky.post("/drip:every=0.002:bytes=100/parcel-drip")

    assert len(reply.content) == 100
    assert time.monotonic() - start >= 0.2


async def test_an_error_can_come_after_the_effect(flaky: httpx2.AsyncClient, systems: Systems) -> None:
    reply = await flaky.post("/500:effect=1/parcel-500")

    assert reply.status_code == 500
    assert systems.ledger.effects("parcel-500") == 1


async def test_a_success_can_be_followed_by_an_error(flaky: httpx2.AsyncClient) -> None:
    statuses = [(await flaky.get("/ok,500x*/parcel-later")).status_code for _ in range(3)]

    assert statuses == [200, 500, 500]


async def test_a_slow_answer_comes_after_the_effect(flaky: httpx2.AsyncClient, systems: Systems) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        await flaky.post("/ok:wait=60/parcel-slow", timeout=0.3)

    assert systems.ledger.effects("parcel-slow") == 1


async def test_a_key_that_had_its_effect_has_no_second_one(flaky: httpx2.AsyncClient, systems: Systems) -> None:
    key = {"Idempotency-Key": "parcel-key"}
    with pytest.raises(httpx2.ReadError):
        await flaky.post("/cut/parcel-keyed", headers=key)

    reply = await flaky.post("/cut/parcel-keyed", headers=key)

    assert reply.json() == {"name": "parcel-keyed", "status": 200, "effects": 1, "replayed": True}
    assert systems.ledger.effects("parcel-keyed") == 1


async def test_a_head_request_gets_no_body(flaky: httpx2.AsyncClient) -> None:
    reply = await flaky.head("/ok/parcel-head")

    assert (reply.status_code, reply.content) == (200, b"")


async def test_a_connection_serves_many_requests(systems: Systems) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", systems.flaky.port)

    for _ in range(2):
        writer.write(b"GET /flaky/ok/parcel-alive HTTP/1.1\r\nHost: here\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()

    assert systems.ledger.effects("parcel-alive") == 2


async def test_a_script_that_cannot_be_read_is_explained(flaky: httpx2.AsyncClient) -> None:
    reply = await flaky.post("/explode/parcel")

    assert reply.status_code == 400
    assert "explode" in reply.json()["error"]


async def test_another_path_of_the_flaky_system_is_explained(systems: Systems, flaky: httpx2.AsyncClient) -> None:
    reply = await flaky.get(systems.flaky_url + "/elsewhere")

    assert (reply.status_code, reply.json()) == (400, {"error": "expected the path /flaky/SCRIPT/NAME"})


def test_a_script_gives_each_request_its_step() -> None:
    script = parse_script("429x2:after=1,cut:by=fin")

    assert script.step(2) == Step(status=429, effect=False, after=1)
    assert script.step(3) == Step(action="cut", by="fin")
    assert script.step(4) == Step()


@pytest.mark.parametrize("text", ["", "99", "600", "answer", "503x", "ok:sometimes=1", "cut:by=force", "ok:wait=long"])
def test_a_script_with_an_unknown_action_or_option_is_refused(text: str) -> None:
    with pytest.raises(ScriptError):
        parse_script(text)
