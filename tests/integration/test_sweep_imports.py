"""Many accounts imported at once, whose tokens all end at the same instant: at a real token endpoint."""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from sqlalchemy import bindparam, update

from auth.ahead import Caps, Outcome
from auth.refresh_plan import due_at
from storage.due_tokens import count_due
from storage.schema import tokens
from tests.fixtures.many_tokens import fill, pass_time
from tests.fixtures.refreshing import Bench, client_credentials
from tests.fixtures.sweeping import Load, Sweeping
from tests.fixtures.token_endpoint import TokenEndpoint

IMPORTED = 40
WINDOW = (0.70 * 3600, 0.85 * 3600)
EVERY = 60.0


async def imported(sweeping: Sweeping, endpoint: TokenEndpoint) -> None:
    bench = sweeping.bench
    await bench.define(client_credentials(endpoint.url))
    process = bench.process()
    for number in range(IMPORTED):
        await bench.accounts.create(
            f"account-{number}", "of-main", {}, {"client_id": "c", "client_secret": "planted-s"}
        )
        await process.ensure(await bench.open(f"account-{number}"))
    now = (await bench.row(await bench.open("account-0"))).now
    async with bench.database.write() as connection:
        ids = (await connection.scalars(tokens.select().with_only_columns(tokens.c.account_id))).all()
        equal = [{"id": each, "due": due_at(each, now, now + 3600, None)} for each in ids]
        await connection.execute(
            update(tokens)
            .where(tokens.c.account_id == bindparam("id"))
            .values(issued_at=now, access_expires_at=now + 3600, refresh_at=bindparam("due")),
            equal,
        )


async def test_an_import_that_expires_at_once_is_renewed_all_over_the_window_and_within_the_caps_of_its_host(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    await imported(sqlite_sweeping, granted)
    load = Load(seconds=0.02)
    granted.answer(load)
    await sqlite_sweeping.pass_time(WINDOW[0] - 30)
    early = await sqlite_sweeping.sweep()
    steps = []
    for _ in range(int((WINDOW[1] - WINDOW[0] + 60) / EVERY)):
        await sqlite_sweeping.pass_time(EVERY)
        steps.append((await sqlite_sweeping.sweep())[Outcome.RENEWED])
    assert early == {}
    assert sum(steps) == IMPORTED
    assert max(steps) <= 3 * IMPORTED * EVERY / (WINDOW[1] - WINDOW[0])
    assert load.most <= Caps().per_host


async def test_an_import_that_is_due_at_once_all_the_same_never_gets_more_than_its_host_s_share(
    sqlite_sweeping: Sweeping, granted: TokenEndpoint
) -> None:
    """After a long outage, for instance; several batches one after the other."""
    sqlite_sweeping.caps = Caps(per_host=5, per_second=20.0)
    await imported(sqlite_sweeping, granted)
    load = Load(seconds=0.35)
    granted.answer(load)
    await sqlite_sweeping.pass_time(3600)
    assert await sqlite_sweeping.sweep() == {Outcome.RENEWED: IMPORTED}
    assert load.most == 5
    assert most_in_a_second(load.times) <= 20 + 5  # a request that was begun late arrives with the next ones


async def test_ten_thousand_that_expire_at_once_are_due_evenly(sqlite_bench: Bench) -> None:
    database = sqlite_bench.database
    await fill(database, 10_000)
    async with database.write() as connection:
        now = (await count_due(connection, 0)).now
        ids = (await connection.scalars(tokens.select().with_only_columns(tokens.c.account_id))).all()
        change = update(tokens).where(tokens.c.account_id == bindparam("id")).values(refresh_at=bindparam("due"))
        await connection.execute(change, [{"id": each, "due": due_at(each, now, now + 3600, None)} for each in ids])
    await pass_time(database, WINDOW[0])
    due = [0]
    for _ in range(10):
        await pass_time(database, (WINDOW[1] - WINDOW[0]) / 10)
        async with database.read() as connection:
            due.append((await count_due(connection, 0)).due)
    tenths = [later - sooner for sooner, later in pairwise(due)]
    assert 9_900 < sum(tenths) <= 10_000
    assert all(850 < tenth < 1150 for tenth in tenths)


def most_in_a_second(times: Sequence[float]) -> int:
    window: deque[float] = deque()
    most = 0
    for time in times:
        window.append(time)
        while window[0] <= time - 1:
            window.popleft()
        most = max(most, len(window))
    return most
