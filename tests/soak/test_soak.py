"""A short soak: real workers are killed, nothing is lost, and what is lost on purpose is noticed."""

import copy

import pytest
import pytest_asyncio

from runtime.temporal_server import TemporalAddress
from tests.soak.ledger import Observed
from tests.soak.plan import Plan
from tests.soak.soak import soak
from tests.soak.verdict import offences

SHORT = Plan(
    seed=20,
    kills=2,
    accounts=4,
    workers=2,
    lifetime=2,
    runs_per_second=6.0,
    least_between=0.2,
    most_between=0.6,
    delay=0.2,
    due_every=1.0,
    pause_each=0,
    settle=60.0,
    hasty=True,
)

pytestmark = pytest.mark.timeout(300)


@pytest_asyncio.fixture(scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory, temporal_server: TemporalAddress) -> Observed:
    """What both sides wrote down."""
    return await soak(SHORT, tmp_path_factory.mktemp("soak"), temporal_server.address, print)


async def test_workers_that_are_killed_lose_no_account_and_no_write(seen: Observed) -> None:
    assert offences(seen) == []
    assert len(seen.ledger.losses) == SHORT.kills


async def test_tokens_were_renewed_and_runs_were_done_meanwhile(seen: Observed) -> None:
    renewed = {each.account for each in seen.ledger.redemptions if each.accepted}
    assert len(renewed) > SHORT.accounts // 2
    assert sum(end.state == "done" for end in seen.ends) > SHORT.kills


async def test_a_write_that_is_there_twice_is_noticed(seen: Observed) -> None:
    broken = copy.deepcopy(seen)
    write = next(each for each in broken.ledger.asked if each.performed)
    broken.ledger.asked.append(write)
    assert "a write is there more than once" in {each.rule for each in offences(broken)}


async def test_a_write_that_never_arrived_is_noticed(seen: Observed) -> None:
    done = {end.order.id for end in seen.ends if end.state == "done"}
    broken = copy.deepcopy(seen)
    write = next(each for each in broken.ledger.asked if each.performed and each.order in done)
    broken.ledger.asked.remove(write)
    assert "a run is done and its write is not there exactly once" in {each.rule for each in offences(broken)}
