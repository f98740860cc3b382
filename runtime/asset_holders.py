"""Assets that nothing needs any more: the runs that hold them are asked of Temporal."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from runtime.assembly import TemporalUnreachable, connect
from runtime.stores import Stores
from runtime.temporal_binary import TemporalServerError
from runtime.temporal_server import find_temporal
from storage.assets import Fate, Garbage

AT_ONCE = 20


class AssetCollection(BaseModel):
    """What was found, or deleted."""

    deleted: bool = Field(description="Whether it was, or would only be")
    bytes: int = Field(description="Of all that was found")
    references: int = Field(description="References that are over")
    kept: int = Field(description="What stays because it is held by runs that Temporal could not be asked about")
    temporal: str | None = Field(description="Why it could not")
    left: int = Field(description="What stays because it may belong to another installation")
    left_bytes: int
    left_because: str | None = Field(description="Why that may be, and what to do")
    found: int = Field(description="How many there are in `garbage`, or would be without a limit")
    garbage: Sequence[Garbage]


async def collect_assets(stores: Stores, *, delete: bool, take_over: bool) -> AssetCollection:
    """Find what nothing needs any more, and delete it if asked to. `take_over`: no other installation needs what lies
    there, from now on. Where Temporal cannot be asked, what runs hold stays.

    Raises:
        AssetStoreUnavailable, DatabaseUnavailable
    """
    asked = _Asked(stores)
    collected = await stores.assets.collect(asked.fates, delete=delete, take_over=take_over)
    return AssetCollection(
        deleted=delete,
        bytes=sum(each.size for each in collected.garbage),
        references=collected.references,
        kept=collected.kept,
        temporal=asked.refused,
        left=len(collected.left),
        left_bytes=sum(each.size for each in collected.left),
        left_because=collected.objection,
        found=len(collected.garbage),
        garbage=collected.garbage,
    )


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
