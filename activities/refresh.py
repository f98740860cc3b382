"""The activities of the refresh sweep: what is due, and renewing one batch of it."""

from temporalio import activity

from activities.heartbeat import heartbeats
from auth.ahead import RenewAhead
from auth.sweep import DueAccounts
from definitions.sweep import Batch, Due, Tally


class RefreshActivities:
    """Renews tokens before they are needed."""

    def __init__(self, due: DueAccounts, renew: RenewAhead) -> None:
        self._due = due
        self._renew = renew

    @activity.defn(name="tieline.due")
    async def due(self) -> Due:
        """One page of what is due; on the way, people are warned of refresh tokens that end soon."""
        await self._due.warn()
        return Due(batches=tuple(Batch(accounts=tuple(ids)) for ids in await self._due.page()))

    @activity.defn(name="tieline.renew")
    async def renew(self, batch: Batch) -> Tally:
        """Renew what of this batch is still due."""
        with heartbeats():
            counts = await self._renew.batch(batch.accounts)
        counter = activity.metric_meter().create_counter(
            "tieline_renewals", "Accounts that the sweep came by, by what became of them"
        )
        for outcome, count in counts.items():
            counter.add(count, {"outcome": outcome.value})
        return Tally(**{outcome.value: count for outcome, count in counts.items()})
