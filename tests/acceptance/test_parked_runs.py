"""Runs that meet a dead account wait for it, and go on from the same call when it is well again."""

from datetime import timedelta

import pytest

from definitions.run import Decision
from runtime.runs import RunCancelled, RunFailed
from tests.fixtures.parking import World, bind
from tests.fixtures.waiting import until

LIMIT = timedelta(seconds=30)


async def test_a_run_waits_for_its_account_and_goes_on_when_somebody_has_connected_it(world: World) -> None:
    world.end_grant()
    started = await world.order("one")
    await world.waiting()
    before = dict(world.shop.orders)
    await world.connect()
    result = await world.tieline.runs.result(started.id, timeout=LIMIT)
    assert before == {}
    assert result.call is not None
    assert (result.call.status, list(world.shop.orders.values())) == (201, [1])


async def test_one_reconnect_wakes_all_runs_that_wait(world: World) -> None:
    world.end_grant()
    runs = [await world.order(f"order {number}") for number in range(30)]
    await world.waiting(30)
    await world.connect()
    for run in runs:
        await world.tieline.runs.result(run.id, timeout=LIMIT)
    assert list(world.shop.orders.values()) == [1] * 30


async def test_a_run_that_waits_shows_why_for_what_since_when_and_what_mends_it(world: World) -> None:
    world.end_grant()
    started = await world.order("one")
    await world.waiting()
    run = await world.tieline.runs.summary(started.id)
    assert (run.state, run.account) == ("waiting_for_reconnect", "main")
    assert run.waiting is not None
    assert "invalid_grant" in run.waiting.message
    assert run.waiting.next_step == "connect it again: tieline accounts connect main"
    assert run.started <= run.waiting.since


async def test_the_history_tells_that_it_waited_and_what_woke_it(world: World) -> None:
    world.end_grant()
    started = await world.order("one")
    await world.waiting()
    await world.connect()
    await world.tieline.runs.result(started.id, timeout=LIMIT)
    _, steps = await world.tieline.runs.show(started.id)
    told = [step.what.partition(":")[0] for step in steps]
    assert told == [
        "started",
        "call  POST shop/api/orders · production",
        "waits for its account",
        "wait 30d, then give up waiting for the account",
        "woken",
        "call  POST shop/api/orders · production",
        "answered 201 through account main",
        "completed",
    ]


async def test_a_run_that_waits_can_be_cancelled(world: World) -> None:
    world.end_grant()
    started = await world.order("one")
    await world.waiting()
    await world.tieline.runs.cancel(started.id)
    with pytest.raises(RunCancelled):
        await world.tieline.runs.result(started.id, timeout=LIMIT)


async def test_somebody_can_decide_about_a_run_that_waits(world: World) -> None:
    world.end_grant()
    started = await world.order("one")
    await world.waiting()
    decision = Decision(action="skip", who="ann", why="sent by hand", value={"id": 7})
    await world.tieline.runs.decide(started.id, decision)
    assert (await world.tieline.runs.result(started.id, timeout=LIMIT)).value == {"id": 7}


async def test_a_run_gives_up_waiting_after_its_park_for(world: World) -> None:
    world.end_grant()
    started = await world.order("one", park_for="1s")
    with pytest.raises(RunFailed, match="nobody connected the account in time") as caught:
        await world.tieline.runs.result(started.id, timeout=LIMIT)
    assert caught.value.failure.account == "main"
    assert "tieline accounts connect main" in caught.value.failure.suggested_action


async def test_a_run_that_waits_goes_on_through_another_account_when_that_is_bound(world: World) -> None:
    world.end_grant()
    started = await world.order("one")
    await world.waiting()
    world.account = "other"
    await world.connect()
    await bind(world.tieline, "other")
    result = await world.tieline.runs.result(started.id, timeout=LIMIT)
    assert result.call is not None
    assert result.call.account == "other"


async def test_a_run_whose_account_nobody_has_connected_yet_waits_for_that(world: World) -> None:
    await bind(world.tieline, "other")
    started = await world.order("one")
    await world.waiting()
    world.account = "other"
    await world.connect()
    await world.tieline.runs.result(started.id, timeout=LIMIT)


async def test_many_failures_make_one_notification_and_the_reconnect_another(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "runtime.notifiers")
    world.end_grant()
    for number in range(10):
        await world.order(f"order {number}")
    await world.waiting(10)
    await world.connect()

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "runtime.notifiers"]

    async def all_are_told() -> bool:
        return len(told()) >= 2

    await until(all_are_told)
    assert told() == [
        "account 'main': the provider no longer accepts its grant (invalid_grant): connect it again: "
        "tieline accounts connect main",
        "account 'main' works again: 10 runs that waited for it go on",
    ]


async def test_runs_that_wait_because_of_a_wrong_definition_go_on_when_it_is_corrected(world: World) -> None:
    world.server.reply("/oauth/wrong", 400, b'{"error": "invalid_grant"}', [("Content-Type", "application/json")])
    await world.talk(token={"endpoint": f"{world.server.url}/oauth/wrong"})
    await world.expire()
    started = await world.order("one")
    await world.waiting()
    await world.talk()
    await world.sweep()
    result = await world.tieline.runs.result(started.id, timeout=LIMIT)
    assert result.call is not None


async def test_runs_that_wait_because_of_a_refused_client_go_on_when_its_secret_is_corrected(world: World) -> None:
    secret, world.server.client.client_secret = world.server.client.client_secret, "renewed-by-the-provider"
    await world.expire()
    started = await world.order("one")
    await world.waiting()
    world.server.client.client_secret = secret
    await world.tieline.stores.accounts.set_secrets("main", {"client_secret": secret})
    await world.sweep()
    result = await world.tieline.runs.result(started.id, timeout=LIMIT)
    assert result.call is not None
