"""The caps of a batch, over ten thousand accounts; a clock that jumps stands for the hours that it would take."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Iterable

import pytest

from auth.ahead import Caps, Lane, Outcome, Run
from auth.errors import HostClosed
from auth.refresh_plan import Ahead
from storage.database import Database
from storage.due_tokens import DueToken
from tests.fixtures.warp import run_warped


class Endpoints:
    """Renews everything after so many seconds, which is all that is played here, and keeps count."""

    def __init__(self, seconds: float = 0.4) -> None:
        self._seconds = seconds
        self.times: dict[str | None, list[float]] = {}
        self._under_way: Counter[str | None] = Counter()
        self.most: Counter[str | None] = Counter()
        self.most_in_all = 0

    async def renew_ahead(self, account_id: str, host: str | None, client: str | None) -> Ahead:
        self.times.setdefault(host, []).append(asyncio.get_running_loop().time())
        self._under_way[host] += 1
        self.most[host] = max(self.most[host], self._under_way[host])
        self.most_in_all = max(self.most_in_all, self._under_way.total())
        with contextlib.ExitStack() as stack:
            stack.callback(self._under_way.subtract, [host])
            await asyncio.sleep(self._seconds)
        return Ahead.RENEWED

    def most_in_a_second(self, host: str) -> int:
        window: deque[float] = deque()
        most = 0
        for time in self.times[host]:
            window.append(time)
            while window[0] <= time - 1 + 1e-6:  # tenths of a second do not add up to one
                window.popleft()
            most = max(most, len(window))
        return most


def lane(host: str, count: int) -> Lane:
    made = Lane(host, failed=False)
    made.waiting.extend(DueToken(f"{host}-{number}", 0.0, host, "client") for number in range(count))
    return made


def renewed(lanes: Iterable[Lane], caps: Caps) -> tuple[Endpoints, Counter[Outcome], float]:
    """All lanes at once; and how many seconds it took."""
    endpoints = Endpoints()

    async def main() -> tuple[Counter[Outcome], float]:
        run = Run(Database("sqlite+aiosqlite://"), endpoints, caps, frozenset())
        await asyncio.gather(*map(run.through, lanes))
        return run.counts, asyncio.get_running_loop().time()

    counts, seconds = run_warped(main())
    return endpoints, counts, seconds


FOR_EVER = Caps(seconds=1e9)


def test_ten_thousand_accounts_of_one_host_never_exceed_its_caps() -> None:
    """Row 12: whatever is due at once."""
    endpoints, counts, seconds = renewed([lane("one", 10_000)], FOR_EVER)
    assert counts == {Outcome.RENEWED: 10_000}
    assert endpoints.most["one"] <= FOR_EVER.per_host
    assert endpoints.most_in_a_second("one") <= FOR_EVER.per_second
    assert 999 < seconds < 1010


@pytest.mark.parametrize("per_second", [1.0, 10.0])
def test_batch_after_batch_keeps_the_pace(per_second: float) -> None:
    endpoints = Endpoints(seconds=0.001)

    async def main() -> None:
        for _ in range(20):
            run = Run(Database("sqlite+aiosqlite://"), endpoints, Caps(per_second=per_second), frozenset())
            await run.through(lane("one", 1))

    run_warped(main())
    assert endpoints.most_in_a_second("one") <= per_second


def test_many_hosts_share_the_places_of_a_batch_and_none_is_left_out() -> None:
    endpoints, _, _ = renewed([lane(f"host-{n}", 20) for n in range(30)], FOR_EVER)
    assert endpoints.most_in_all == FOR_EVER.in_all
    assert {len(times) for times in endpoints.times.values()} == {20}
    assert max(times[0] for times in endpoints.times.values()) < 10


def test_one_slow_lane_takes_no_more_places_than_its_host_may_have() -> None:
    endpoints, _, _ = renewed([lane("large", 200), lane("small", 3)], FOR_EVER)
    assert max(endpoints.times["small"]) < 1


def test_nothing_is_begun_after_the_time_of_the_batch() -> None:
    endpoints, counts, seconds = renewed([lane("one", 1000)], Caps(seconds=30))
    assert 290 <= counts[Outcome.RENEWED] <= 301
    assert max(endpoints.times["one"]) <= 30
    assert seconds < 31


class Closed(Endpoints):
    """A host that wants to be left alone."""

    async def renew_ahead(self, account_id: str, host: str | None, client: str | None) -> Ahead:
        await super().renew_ahead(account_id, host, client)
        raise HostClosed("it asked not to be called for a while", action="nothing")


def test_a_host_that_wants_to_be_left_alone_is_asked_for_nobody_else() -> None:
    endpoints = Closed(seconds=1.0)
    left = lane("one", 100)

    async def main() -> None:
        await Run(Database("sqlite+aiosqlite://"), endpoints, FOR_EVER, frozenset()).through(left)

    run_warped(main())
    assert len(endpoints.times["one"]) == FOR_EVER.per_host
    assert len(left.waiting) == 100 - FOR_EVER.per_host
