"""Ratios that survive a noisy machine: both sides take turns, every round gives a ratio, and the median counts."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

Work = Callable[[], Awaitable[object]]
Figure = Callable[[], Awaitable[float]]
"""Measures one side for one round."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of the table. `subject` and `base` are medians, for orientation; what counts is `ratios`, by round."""

    name: str
    ratios: tuple[float, ...]
    subject: float
    base: float
    unit: str
    goal: str = ""

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


async def compare(
    name: str, subject: Figure, base: Figure, *, unit: str, goal: str = "", rounds: int = 9
) -> Comparison:
    """Measure both in turn; who goes first changes from round to round. A round before them warms up."""
    await subject()
    await base()
    pairs = [await _round(subject, base, subject_first=number % 2 == 0) for number in range(rounds)]
    return compared(name, pairs, unit=unit, goal=goal)


def compared(name: str, pairs: Sequence[tuple[float, float]], *, unit: str, goal: str = "") -> Comparison:
    """What the figures (subject, base) of all rounds say."""
    subjects, bases = zip(*pairs, strict=True)
    ratios = tuple(subject / base for subject, base in pairs)
    return Comparison(name, ratios, statistics.median(subjects), statistics.median(bases), unit, goal)


async def in_turn(figures: Mapping[str, Figure], *, rounds: int, warm_up: bool = True) -> Sequence[Mapping[str, float]]:
    """Measure several sides in turn, as `compare` does two; the figures of each round, by side."""
    if warm_up:
        for figure in figures.values():
            await figure()
    names = list(figures)
    orders = [names[first:] + names[:first] for first in range(len(names))]
    return [{name: await figures[name]() for name in orders[number % len(orders)]} for number in range(rounds)]


async def _round(subject: Figure, base: Figure, *, subject_first: bool) -> tuple[float, float]:
    if subject_first:
        return await subject(), await base()
    second = await base()
    return await subject(), second


def milliseconds(work: Work, *, calls: int, at_once: int = 1) -> Figure:
    """The median time of a call, `at_once` of them in flight."""

    async def figure() -> float:
        return 1000 * statistics.median(await _times(work, calls, at_once))

    return figure


def per_second(work: Work, *, calls: int, at_once: int = 1) -> Figure:
    """How many calls end in a second, `at_once` of them in flight."""

    async def figure() -> float:
        start = time.perf_counter()
        await _times(work, calls, at_once)
        return calls / (time.perf_counter() - start)

    return figure


def in_flight(number: int) -> str:
    """In words."""
    return f"{number} at once" if number > 1 else "one after another"


async def _times(work: Work, calls: int, at_once: int) -> list[float]:
    """Seconds of each call; `at_once` lanes share the calls."""
    times: list[float] = []
    left = iter(range(calls))

    async def lane() -> None:
        for _ in left:
            start = time.perf_counter()
            await work()
            times.append(time.perf_counter() - start)

    await asyncio.gather(*(lane() for _ in range(at_once)))
    return times
