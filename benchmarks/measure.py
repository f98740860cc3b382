"""Timing that survives a noisy machine: variants take turns in rounds, medians are compared, ratios are printed."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds per call: median and 95th percentile over all rounds."""

    median: float
    p95: float


async def interleaved(variants: Mapping[str, Work], *, rounds: int, calls: int, at_once: int = 1) -> dict[str, Sample]:
    """Time each variant `calls` times a round, `at_once` calls in flight, the variants in turn."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for work in variants.values():
        await _round(work, at_once, at_once)
    for _ in range(rounds):
        for name, work in variants.items():
            times[name] += await _round(work, calls, at_once)
    return {name: Sample(statistics.median(each), _p95(each)) for name, each in times.items()}


async def _round(work: Work, calls: int, at_once: int) -> list[float]:
    """Seconds per call. With several in flight, the wall time of the round divided by its calls, per lane."""
    times: list[float] = []

    async def lane(count: int) -> None:
        for _ in range(count):
            start = time.perf_counter()
            await work()
            times.append(time.perf_counter() - start)

    await asyncio.gather(*(lane(max(1, calls // at_once)) for _ in range(at_once)))
    return times


def _p95(times: list[float]) -> float:
    return sorted(times)[int(0.95 * (len(times) - 1))]


async def per_second(work: Work, *, count: int, at_once: int) -> float:
    """How many of these end in a second, `at_once` in flight."""
    start = time.perf_counter()
    await _round(work, count, at_once)
    return count / (time.perf_counter() - start)
