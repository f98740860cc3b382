"""The sweep: every token that is due is renewed before anybody needs it.

    what is due? ──nothing──► done, until the schedule starts the next one
     ▲   │
     │   └─ batches, at the same time; each paces what it sends to a host
     │        │
     └────────┘  as long as a page moved anything

It holds no state that matters: what is due, who may redeem, and whom to leave alone stands in the database, so a sweep
that is killed is simply followed by the next one.
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.refresh import RefreshActivities
    from definitions.sweep import Batch, Sweep, Tally

from workflows.options import HEARTBEAT_TIMEOUT

PAGES_PER_RUN = 20
"""Then the sweep continues as a new run, so that no history grows."""

LOOKING = timedelta(seconds=60)
RENEWING = timedelta(seconds=150)
"""A batch begins nothing new after half a minute, and the last redemption may take a minute."""

REPEATED = RetryPolicy(maximum_attempts=3)
"""What is still due then is found by the next sweep."""


@workflow.defn(name="tieline.refresh_sweep")
class RefreshSweepWorkflow:
    """One sweep over what is due."""

    @workflow.run
    async def run(self, sweep: Sweep) -> Tally:
        """Renew page by page until nothing is due, or what is due has to wait."""
        tally = sweep.tally
        for _ in range(PAGES_PER_RUN):
            due = await workflow.execute_local_activity_method(
                RefreshActivities.due, start_to_close_timeout=LOOKING, retry_policy=REPEATED
            )
            if not due.batches:
                return tally
            page = Tally().plus(await asyncio.gather(*(self._renew(batch) for batch in due.batches)))
            tally = tally.plus([page])
            if not page.moved:
                return tally
        return workflow.continue_as_new(Sweep(tally=tally))

    async def _renew(self, batch: Batch) -> Tally:
        try:
            return await workflow.execute_activity_method(
                RefreshActivities.renew,
                batch,
                start_to_close_timeout=RENEWING,
                schedule_to_close_timeout=3 * RENEWING,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=REPEATED,
                summary=f"renew up to {len(batch.accounts)} tokens",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("a batch of the refresh sweep was not completed: %s", error.cause)
            return Tally(left=len(batch.accounts))
