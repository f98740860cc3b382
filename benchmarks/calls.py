"""What an activity adds to a call: resolve, place, guard, judge and bound, against a pooled client's call.

The activity runs in an `ActivityEnvironment`, so Temporal has no part in it.
"""

from collections.abc import AsyncIterator

from temporalio.testing import ActivityEnvironment

from activities.http import HttpActivities
from benchmarks.by_hand import pooled_call
from benchmarks.measure import Comparison, compare, in_flight, milliseconds
from benchmarks.stage import OPERATION, REF, Stage
from definitions.operation import Delivery
from definitions.run import Call
from runtime.assembly import open_resolver

CALL = Call(operation=OPERATION, credential=REF, delivery=Delivery.SAFE, idempotency_key="unused-by-a-get")

CALLS = {1: 320, 32: 640}
"""Calls of a round, by how many are in flight."""


async def measure(stage: Stage) -> AsyncIterator[Comparison]:
    environment = ActivityEnvironment()
    async with open_resolver(stage.stores) as (resolver, http), pooled_call(stage.url) as bare:
        activities = HttpActivities(resolver, resolver, http)

        async def tieline() -> object:
            return await environment.run(activities.call, CALL)

        for at_once in CALLS:
            subject = milliseconds(tieline, calls=CALLS[at_once], at_once=at_once)
            base = milliseconds(bare, calls=CALLS[at_once], at_once=at_once)
            yield await compare(
                f"activity's call, {in_flight(at_once)}", subject, base, unit=" ms", goal="≤ 1.25", rounds=15
            )
