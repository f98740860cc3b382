"""What the sweep finds to do: due tokens in batches, and refresh tokens that end soon."""

from collections import Counter
from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from auth.standing import refresh_token_ends
from storage.accounts import account_by_id
from storage.database import Database
from storage.due_tokens import PAGE, DueToken, due_at_host, due_hosts, due_tokens, take_warnings
from storage.token_hosts import Closed, closed

PER_PAGE = 400
PER_HOST = 100
"""Of one page: thousands that wait for one provider must not make the others wait."""

BATCHES = 5
"""They run at the same time, on any worker."""


class DueAccounts:
    """Reads what is due; claims nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self) -> list[list[str]]:
        """Ids of accounts whose tokens are due, the longest due ones first, at most one batch for each host.

        Raises:
            DatabaseUnavailable: nobody knows.
        """
        async with self._database.read() as connection:
            shut = await closed(connection)
            rows: Sequence[DueToken] = await due_tokens(connection, limit=PAGE)
            if len(rows) == PAGE and len(wanted(rows, shut)) < PER_PAGE:
                rows = await by_host(connection, shut, rows)
        return batches(wanted(rows, shut)[:PER_PAGE])

    async def warn(self) -> int:
        """Have people told, once each, which refresh tokens end within a week, and which within a day."""
        async with self._database.write() as connection:
            taken = await take_warnings(connection)
            for each in taken:
                if account := await account_by_id(connection, each.account_id):
                    await refresh_token_ends(connection, account, each.refresh_expires_at)
        return len(taken)


async def by_host(connection: AsyncConnection, shut: Closed, longest: Iterable[DueToken]) -> Sequence[DueToken]:
    """What is due, so much of each host as a page may hold: the `longest` due are nearly all of a few hosts, and
    nobody reads through the hundred thousands that wait there."""
    found = set(wanted(longest, shut))
    found |= set(await due_at_host(connection, None, shut.clients, PER_PAGE))
    for oldest, host in await due_hosts(connection, shut.hosts, PER_PAGE):
        if len(found) >= PER_PAGE and _longest_first(found)[PER_PAGE - 1].refresh_at < oldest:
            break
        found |= set(await due_at_host(connection, host, shut.clients, PER_HOST))
    return _longest_first(found)


def _longest_first(rows: Iterable[DueToken]) -> list[DueToken]:
    return sorted(rows, key=lambda row: (row.refresh_at, row.account_id))


def wanted(rows: Iterable[DueToken], shut: Closed) -> list[DueToken]:
    """Without those of whom is left alone, and not too many of one host."""
    counts: Counter[str | None] = Counter()
    wanted = []
    for row in rows:
        if row.host in shut.hosts or row.client in shut.clients:
            continue
        counts[row.host] += 1
        if row.host is None or counts[row.host] <= PER_HOST:
            wanted.append(row)
    return wanted


def batches(rows: Sequence[DueToken], at_most: int = BATCHES) -> list[list[str]]:
    """Spread evenly, but each host within one batch: what is in one batch is paced by one process."""
    by_host: dict[str | None, list[str]] = {}
    for row in rows:
        by_host.setdefault(row.host, []).append(row.account_id)
    made: list[list[str]] = [[] for _ in range(min(at_most, len(by_host)))]
    for accounts in sorted(by_host.values(), key=len, reverse=True):
        min(made, key=len).extend(accounts)
    return made
