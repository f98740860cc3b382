"""How a page of due tokens is spread over batches."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from auth.sweep import BATCHES, PER_HOST, batches, wanted
from storage.due_tokens import DueToken
from storage.token_hosts import Closed

NOBODY = Closed(frozenset(), frozenset())
HOSTS = st.lists(st.one_of(st.none(), st.integers(0, 12).map("host-{}".format)), max_size=60)


def rows(hosts: Sequence[str | None]) -> list[DueToken]:
    return [DueToken(f"a{number}", float(number), host, f"client-of-{host}") for number, host in enumerate(hosts)]


@given(HOSTS)
def test_every_account_is_in_one_batch_and_every_host_too(hosts: list[str | None]) -> None:
    made = batches(rows(hosts))
    where = [{hosts[int(account[1:])] for account in batch} for batch in made]
    assert sorted(account for batch in made for account in batch) == sorted(f"a{n}" for n in range(len(hosts)))
    assert sum(map(len, where)) == len(set(hosts))
    assert len(made) <= BATCHES
    assert all(made)


def test_a_large_host_shares_its_batch_with_nobody_while_others_are_emptier() -> None:
    made = batches(rows(["large"] * 50 + [f"small-{n}" for n in range(20)]), at_most=3)
    assert sorted(map(len, made)) == [10, 10, 50]


def test_of_one_host_only_so_many_are_taken_for_a_page_so_that_the_others_have_their_turn() -> None:
    taken = wanted(rows(["large"] * 500 + ["small"]), NOBODY)
    assert Counter(row.host for row in taken) == {"large": PER_HOST, "small": 1}


def test_what_is_counted_in_nowhere_yet_is_taken_at_once() -> None:
    assert len(wanted(rows([None] * 300), NOBODY)) == 300


def test_closed_hosts_and_stopped_clients_are_passed_over() -> None:
    shut = Closed(frozenset({"a"}), frozenset({"client-of-b"}))
    assert [row.host for row in wanted(rows(["a", "b", "c"]), shut)] == ["c"]
