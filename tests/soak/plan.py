"""How a soak goes: how many kills, how often, and how much is going on meanwhile."""

from dataclasses import dataclass

from auth.refresh_plan import Timing

LEASE = Timing().lease


@dataclass(frozen=True, slots=True)
class Plan:
    """Times in seconds. The instants of the kills, and all that is random, follow from the seed."""

    seed: int
    kills: int = 200
    seconds_limit: float = 7200.0
    """No kill after these; then the soak counts as broken off."""
    grace: float = 120.0
    """For which the authorization server forgives a refresh token that comes twice. Whoever takes over asks within half
    a minute, and may be killed too: so it must hold for several in a row."""
    postgresql: bool = False
    accounts: int = 20
    workers: int = 4
    lifetime: int = 8
    """Of the tokens of every other account: renewed on demand. The others' live an hour and are made due."""
    runs_per_second: float = 4.0
    least_between: float = 0.3
    most_between: float = 4.0
    delay: float = 0.4
    """The other side takes up to this before it acts, and again before it answers."""
    due_every: float = 6.0
    pause_each: int = 40
    """After so many kills a worker is stopped for longer than a lease instead, and then wakes. 0: never."""
    pause: tuple[float, float] = (LEASE + 2.0, LEASE + 15.0)
    settle: float = 300.0
    """Within which all runs must have ended, or wait for somebody, once nobody kills any more."""
    hasty: bool = False
    """Workers whose leases and heartbeats take a second or two, for a soak that must end soon."""
