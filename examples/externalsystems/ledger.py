"""What was asked of the systems, and what had an effect. Names only: no header value, query value or body is kept."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass
class Entry:
    """One request as it arrived; what became of it is filled in afterwards."""

    number: int
    method: str
    path: str
    query: tuple[str, ...]
    """Names, in order."""
    headers: tuple[str, ...]
    """Names in lower case, in order."""
    idempotency_key: str | None
    account: str | None = None
    """Whom the credential belongs to, once it was accepted."""
    resource: str | None = None
    """What the effect is counted under."""
    effect: bool = False
    status: int | None = None
    """None while it is not answered; it stays None where the connection was cut."""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class Ledger:
    """Grows for as long as the systems run."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._effects: Counter[str] = Counter()

    def received(self, method: str, path: str, query: Iterable[str], headers: Iterable[tuple[bytes, bytes]]) -> Entry:
        """Note a request whose head has been read."""
        pairs = [(name.decode("latin-1").lower(), value) for name, value in headers]
        key = dict(pairs).get("idempotency-key")
        entry = Entry(
            number=len(self._entries) + 1,
            method=method,
            path=path,
            query=tuple(query),
            headers=tuple(name for name, _ in pairs),
            idempotency_key=None if key is None else key.decode("latin-1"),
        )
        self._entries.append(entry)
        return entry

    def performed(self, entry: Entry, resource: str) -> None:
        """Count an effect."""
        entry.effect = True
        entry.resource = resource
        self._effects[resource] += 1

    def requests(self, path: str | None = None, *, account: str | None = None) -> list[Entry]:
        """In order of arrival; a path that ends in `/` means everything below."""
        return [
            entry
            for entry in self._entries
            if (path is None or entry.path == path or (path.endswith("/") and entry.path.startswith(path)))
            and (account is None or entry.account == account)
        ]

    def effects(self, resource: str) -> int:
        """How often a thing was really done: by flaky name, tweet text, lead's email or transfer's reference."""
        return self._effects[resource]
