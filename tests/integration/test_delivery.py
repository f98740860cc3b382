"""What the outbox holds reaches runs of a real Temporal server and people, at least once, and no more than it must; on
SQLite and on PostgreSQL."""

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import pytest_asyncio
from sqlalchemy import select, update
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode

from definitions.notification import Notification, NotificationKind
from runtime.delivery import NOTIFIED_WITHIN, TAKEN_FOR, Delivery
from runtime.notifiers import Notifier, NotifierFailed
from runtime.temporal_server import TemporalAddress
from storage.database import Database
from storage.outbox import NOTIFICATION, WAKE, new_row, post, take
from storage.schema import outbox
from tests.fixtures.refreshing import Bench
from tests.fixtures.waiting import until


@dataclass
class People:
    """Are told by a notifier that fails as often as it is told to."""

    name: str = "people"
    failures: int = 0
    told: list[Notification] = field(default_factory=list)
    slow: asyncio.Event | None = None
    asked: int = 0

    async def tell(self, notification: Notification) -> None:
        self.asked += 1
        if self.slow is not None:
            await self.slow.wait()
        if self.failures:
            self.failures -= 1
            raise NotifierFailed(self.name, "nobody is at home", "try again")
        self.told.append(notification)


class Broken:
    """Stands for a Temporal client whose signals fail as those of a real server cannot be made to."""

    def __init__(self, client: Client, error: Exception, runs: Sequence[str] = ()) -> None:
        self._client = client
        self._error = error
        self._runs = runs

    def get_workflow_handle_for(self, workflow: Any, run_id: str) -> Any:
        if self._runs and run_id not in self._runs:
            return self._client.get_workflow_handle_for(workflow, run_id)
        return self

    id = "run-x"

    async def signal(self, *_: Any) -> None:
        raise self._error


class Nobody:
    """No run waits for an account here."""

    async def revive(self, account_id: str, version: int) -> None:
        raise AssertionError("no account is waited for")


NOBODY = Nobody()
AWAY = RPCError("away", RPCStatusCode.UNAVAILABLE, b"")


@dataclass
class Post:
    """An outbox, and a Temporal server whose runs nobody works on."""

    database: Database
    client: Client
    runs: list[str] = field(default_factory=list)

    def delivery(self, *people: Notifier, client: object = None) -> Delivery:
        return Delivery(self.database, cast(Client, client or self.client), NOBODY, people)

    async def run(self) -> str:
        run = f"run-{uuid.uuid4().hex}"
        await self.client.start_workflow("tieline.run", id=run, task_queue=f"nobody-{run}")
        self.runs.append(run)
        return run

    async def post_wakes(self, *runs: str, after: str | None = None) -> None:
        rows = [
            new_row(
                uuid.uuid4().hex,
                WAKE,
                json.dumps({"run": run, "ticket": f"of-{run}", "because": "it works"}),
                after_wakes=after,
            )
            for run in runs
        ]
        async with self.database.write() as connection:
            await post(connection, rows)

    async def post_notification(self, kind: NotificationKind = NotificationKind.RECONNECTED) -> str:
        notification = Notification(
            id=uuid.uuid4().hex, kind=kind, message="account 'main' works again", happened_at=datetime.now(UTC)
        )
        async with self.database.write() as connection:
            await post(connection, [new_row(notification.id, NOTIFICATION, notification.model_dump_json())])
        return notification.id

    async def wakes_of(self, run: str) -> int:
        """How many signals have reached a run."""
        events = self.client.get_workflow_handle(run).fetch_history_events()
        kinds = [event.event_type async for event in events]
        return kinds.count(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)

    async def rows(self) -> list[Any]:
        async with self.database.read() as connection:
            return list((await connection.execute(select(outbox))).all())

    async def make_due(self, seconds: float = 1e9) -> None:
        async with self.database.write() as connection:
            await connection.execute(update(outbox).values(due_at=outbox.c.due_at - seconds))


@pytest_asyncio.fixture
async def box(bench: Bench, temporal_server: TemporalAddress) -> AsyncIterator[Post]:
    made = Post(bench.database, await connected(temporal_server.address))
    yield made
    for run in made.runs:
        await _end(made, run)


async def connected(address: str, namespace: str = "default") -> Client:
    return await Client.connect(address, namespace=namespace, data_converter=pydantic_data_converter)


async def _end(box: Post, run: str) -> None:
    with contextlib.suppress(RPCError):  # it has ended before
        await box.client.get_workflow_handle(run).terminate()


async def test_a_run_gets_its_signal_and_nothing_is_left(box: Post) -> None:
    run = await box.run()
    await box.post_wakes(run)
    await box.delivery().wake()
    assert (await box.wakes_of(run), await box.rows()) == (1, [])


async def test_two_who_deliver_at_once_signal_each_run_once(box: Post) -> None:
    runs = [await box.run() for _ in range(12)]
    await box.post_wakes(*runs)
    await asyncio.gather(*(box.delivery().wake() for _ in range(4)))
    await box.delivery().wake()  # who found all others locked has left some
    assert [await box.wakes_of(run) for run in runs] == [1] * 12
    assert await box.rows() == []


async def test_a_signal_whose_sender_died_is_sent_after_its_time_and_not_before(box: Post) -> None:
    run = await box.run()
    await box.post_wakes(run)
    async with box.database.write() as connection:
        await take(connection, WAKE, seconds=TAKEN_FOR, limit=50)
    await box.make_due(TAKEN_FOR - 10)
    await box.delivery().wake()
    before = await box.wakes_of(run)
    await box.make_due(20)
    await box.delivery().wake()
    assert (before, await box.wakes_of(run)) == (0, 1)


async def test_people_are_told_when_all_runs_are_woken_and_how_many_there_were(box: Post) -> None:
    alive, ended, people = await box.run(), await box.run(), People()
    await _end(box, ended)
    notification = await box.post_notification()
    await box.post_wakes(alive, ended, after=notification)
    delivery = box.delivery(people)
    await delivery.notify()
    before = list(people.told)
    await delivery.wake()
    await delivery.notify()
    assert before == []
    assert [(each.runs_resumed, each.message) for each in people.told] == [
        (1, "account 'main' works again: 1 run that waited for it goes on")
    ]


async def test_who_is_told_that_an_account_is_well_is_told_of_no_runs_where_none_waited(box: Post) -> None:
    people = People()
    await box.post_notification()
    await box.delivery(people).notify()
    assert [(each.runs_resumed, each.message) for each in people.told] == [(0, "account 'main' works again")]


async def test_a_run_that_was_woken_by_one_that_died_and_has_ended_since_counts_as_woken(box: Post) -> None:
    run, people = await box.run(), People()
    notification = await box.post_notification()
    await box.post_wakes(run, after=notification)
    [row] = [each for each in await box.rows() if each.kind == WAKE]
    delivery = box.delivery(people)
    await delivery.wake()
    await _end(box, run)
    async with box.database.write() as connection:  # as if it had not been noted
        await connection.execute(update(outbox).values(woken=0))
        await post(connection, [new_row(row.id, WAKE, row.content, after_wakes=notification)])
    await delivery.wake()
    await delivery.notify()
    assert [each.runs_resumed for each in people.told] == [1]


async def test_a_signal_that_temporal_does_not_take_is_sent_later(box: Post) -> None:
    run = await box.run()
    await box.post_wakes(run)
    await box.delivery(client=Broken(box.client, AWAY)).wake()
    [row] = await box.rows()
    await box.delivery().wake()
    at_once = await box.wakes_of(run)
    await box.make_due()
    await box.delivery().wake()
    assert (row.failures, at_once, await box.wakes_of(run)) == (1, 0, 1)


async def test_many_signals_that_temporal_does_not_take_are_one_line_in_the_log(
    box: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "runtime.delivery")
    await box.post_wakes(*(f"run-{number}" for number in range(20)))
    await box.delivery(client=Broken(box.client, AWAY)).wake()
    assert [record.getMessage() for record in caplog.records] == [
        "20 runs could not be woken yet, and are tried again: see tieline doctor"
    ]


async def test_a_signal_is_not_dropped_because_the_namespace_is_not_there(
    box: Post, temporal_server: TemporalAddress
) -> None:
    run = await box.run()
    await box.post_wakes(run)
    elsewhere = await connected(temporal_server.address, namespace="nowhere")
    await box.delivery(client=elsewhere).wake()
    assert [row.failures for row in await box.rows()] == [1]


@pytest.mark.parametrize(("failures", "longest"), [(0, 1), (3, 8), (20, 60), (5_000, 60)])
async def test_the_pause_grows_to_a_minute_and_no_further_however_long_temporal_is_away(
    box: Post, failures: int, longest: float
) -> None:
    await box.post_wakes("run-x")
    async with box.database.write() as connection:
        await connection.execute(update(outbox).values(failures=failures))
    await box.delivery(client=Broken(box.client, AWAY)).wake()
    await box.make_due(longest)
    async with box.database.write() as connection:
        [parcel] = await take(connection, WAKE, seconds=1, limit=1)
    assert parcel.failures == failures + 1


async def test_a_run_that_cannot_be_woken_holds_up_no_other(box: Post) -> None:
    good, bad = await box.run(), await box.run()
    await box.post_wakes(bad, good)
    await box.delivery(client=Broken(box.client, ValueError("a defect of ours"), [bad])).wake()
    [row] = await box.rows()
    assert (await box.wakes_of(good), json.loads(row.content)["run"]) == (1, bad)


async def test_who_was_told_is_not_told_again_because_another_one_failed(box: Post) -> None:
    told, failing = People("log"), People("webhook", failures=2)
    await box.post_notification(NotificationKind.TEST)
    delivery = box.delivery(told, failing)
    await delivery.notify()
    await box.make_due()
    await delivery.notify()
    await box.make_due()
    await delivery.notify()
    assert (len(told.told), len(failing.told), failing.asked, await box.rows()) == (1, 1, 3, [])


async def test_a_notification_that_fails_for_half_a_day_is_given_up_with_an_error(
    box: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "runtime.delivery")
    people = People(failures=100)
    await box.post_notification(NotificationKind.TEST)
    async with box.database.write() as connection:
        await connection.execute(update(outbox).values(failures=NOTIFIED_WITHIN))
    await box.delivery(people).notify()
    assert await box.rows() == []
    assert "is given up: account 'main' works again" in caplog.records[-1].getMessage()


async def test_two_who_deliver_at_once_tell_people_once(box: Post) -> None:
    people = People()
    await box.post_notification(NotificationKind.TEST)
    await asyncio.gather(*(box.delivery(people).notify() for _ in range(4)))
    assert len(people.told) == 1


async def test_a_worker_that_stops_finishes_what_it_is_sending(box: Post) -> None:
    people = People(slow=asyncio.Event())
    assert people.slow is not None
    await box.post_notification(NotificationKind.TEST)
    async with box.delivery(people).running():
        await until(lambda: people.asked == 1)
        asyncio.get_running_loop().call_later(0.1, people.slow.set)
    assert (len(people.told), await box.rows()) == (1, [])


async def test_a_worker_delivers_by_itself_what_comes_while_it_runs(box: Post) -> None:
    run, people = await box.run(), People()
    async with box.delivery(people).running():
        notification = await box.post_notification()
        await box.post_wakes(run, after=notification)
        await until(lambda: bool(people.told), limit=30)
    assert (await box.wakes_of(run), people.told[-1].id) == (1, notification)
