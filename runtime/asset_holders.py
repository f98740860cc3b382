"""Assets that nothing needs any more: the runs that hold them are asked of Temporal."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from runtime.assembly import TemporalUnreachable, connect
from runtime.stores import Stores
from runtime.temporal_binary import TemporalServerError
from runtime.temporal_server import find_temporal
from storage.assets import Collected, Fate

AT_ONCE = 20


async def collect_assets(stores: Stores, *, delete: bool) -> tuple[Collected, str | None]:
    """Find them, and delete them if asked to; and why Temporal could not be asked, in which case what runs hold stays.

    Raises:
        AssetStoreUnavailable, DatabaseUnavailable
    """
    asked = _Asked(stores)
    return await stores.assets.collect(asked.fates, delete=delete), asked.refused


@dataclass(slots=True)
class _Asked:
    stores: Stores
    refused: str | None = None
    """Why it does not answer, or no longer does: nobody is asked about the rest."""

    async def fates(self, runs: Collection[str]) -> Mapping[str, Fate]:
        if not runs:
            return {}
        try:
            client = await connect(self.stores, find_temporal(self.stores.settings).address)
        except (TemporalServerError, TemporalUnreachable) as error:
            self.refused = str(error)
            return {}
        limit = asyncio.Semaphore(AT_ONCE)
        return dict(zip(runs, await asyncio.gather(*(self._fate(client, limit, run) for run in runs)), strict=True))

    async def _fate(self, client: Client, limit: asyncio.Semaphore, run: str) -> Fate:
        async with limit:
            if self.refused:
                return Fate.NOT_ASKED
            try:
                description = await client.get_workflow_handle(run).describe()
            except RPCError as error:
                # A namespace that is not there says nothing about its runs.
                if error.status is RPCStatusCode.NOT_FOUND and "Namespace" not in error.message:
                    return Fate.UNKNOWN
                self.refused = f"it refused to tell of a run ({error.status.name.lower()}): tieline doctor"
                return Fate.NOT_ASKED
        return Fate.RUNNING if description.close_time is None else Fate.ENDED
