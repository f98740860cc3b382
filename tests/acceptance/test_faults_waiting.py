"""Answers that come late, or never, or ask to come back later: when a run ends, and how often the provider was asked.

That a call whose worker is killed is repeated with the same key, and has one effect, is shown in `test_crashes`.
"""

import asyncio
import time

import pytest
import pytest_asyncio

from definitions.run import CallResult, Failure
from tests.fixtures.http import Answer, Handler, Received, Wire
from tests.fixtures.told import JSON, Told, answer, failure, fresh

pytestmark = pytest.mark.timeout(60)


async def body_drips(_: Received, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    await wire.drip(b"x", every=0.02)


async def head_drips(_: Received, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\n")
    await wire.drip(b"X-More: and more\r\n", every=0.02)


async def interim_answers_only(_: Received, wire: Wire) -> None:
    while True:
        await wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        await asyncio.sleep(0.02)


async def silence(_: Received, wire: Wire) -> None:
    await wire.hang()


@pytest.mark.parametrize("slow", [body_drips, head_drips, interim_answers_only, silence])
async def test_an_answer_that_never_ends_ends_on_time_and_leaves_its_connection_to_others(
    told: Told, slow: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two connections for four calls, and for the one after them: a connection that is not given back is missed."""
    monkeypatch.setattr("net.pools.MAX_CONNECTIONS", 2)
    path, profile = fresh("/slow"), fresh("slow")
    await told.account_at(profile, f"127.0.0.1:{told.elsewhere.port}")
    told.elsewhere.on(f"/api{path}", slow)
    began = time.monotonic()
    for _ in range(2):
        runs = [await told.start(path, profile=profile, method="POST", timeout="0.2s") for _ in range(2)]
        outcomes = await asyncio.gather(*(told.parked(run) for run in runs))
        assert {outcome.category for outcome in outcomes} == {"outcome_unknown"}
    assert time.monotonic() - began < 5
    assert len(told.elsewhere.to(f"/api{path}")) == 4

    told.elsewhere.reply(f"/api{path}", body=b"{}", headers=JSON)
    assert answer(await told.call(path, profile=profile)).attempt == 1


async def test_a_read_whose_answer_does_not_come_is_asked_for_again(told: Told) -> None:
    path, times = fresh("/late"), 0

    async def late_once(received: Received, wire: Wire) -> Answer | None:
        nonlocal times
        times += 1
        if times == 1:
            await wire.hang()
        return Answer(200, b"{}", JSON)

    told.server.on(f"/api{path}", late_once)
    assert answer(await told.call(path, timeout="0.5s")).attempt == 2


async def test_a_post_dropped_after_it_was_read_has_one_effect_and_ends_as_unknown_with_guidance(told: Told) -> None:
    name = fresh("dropped")
    found = await told.parked(await told.start(f"/cut/{name}", adapter="flaky", method="POST"))
    assert (found.category, found.verdict, found.actor) == ("outcome_unknown", "unknown", "operator")
    assert "look in the external system" in found.suggested_action
    assert told.tieline.systems.ledger.effects(name) == 1
    assert len(told.tieline.systems.ledger.requests(f"/flaky/cut/{name}")) == 1


MEANINGLESS = ["-1", "garbage", "", "1e400", "0x10", "NaN", "Tue, 15 Nov 1994 08:12:31 GMT"]


@pytest_asyncio.fixture(scope="module")
async def later(told: Told) -> dict[str, tuple[CallResult | Failure, int]]:
    """By header: how a run ended that was refused once with it, and how often it asked. All of them wait at once."""

    async def refused_once(header: str) -> tuple[CallResult | Failure, int]:
        path = fresh("/later")
        refusal = Answer(429, headers=[("Retry-After", header)])
        told.server.replies(f"/api{path}", refusal, Answer(200, b"{}", headers=JSON))
        outcome = await told.call(path, method="POST", give_up_after="10s")
        return outcome, len(told.server.to(f"/api{path}"))

    return dict(zip(MEANINGLESS, await asyncio.gather(*map(refused_once, MEANINGLESS)), strict=True))


@pytest.mark.parametrize("header", MEANINGLESS)
async def test_a_retry_after_that_means_nothing_is_replaced_by_a_short_wait(
    later: dict[str, tuple[CallResult | Failure, int]], header: str
) -> None:
    outcome, asked = later[header]
    assert answer(outcome).status == 200
    assert asked == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_retry_after_of_three_thousand_years_ends_the_run_at_once(told: Told, method: str) -> None:
    path = fresh("/never")
    told.server.reply(f"/api{path}", 429, headers=[("Retry-After", "99999999999")])
    found = failure(await told.call(path, method=method))
    assert found.category == "rate_limited"
    assert len(told.server.to(f"/api{path}")) == 1
