"""Make ready what processes rest on: the database's schema, the first key, Temporal's namespace. Idempotent."""

from dataclasses import dataclass

from runtime.assembly import TemporalUnreachable
from runtime.settings import Settings
from runtime.stores import open_stores
from runtime.temporal_namespace import prepare_namespace
from runtime.temporal_server import find_temporal

LIMIT_SECONDS = 120.0
"""A cluster that has just been started takes its time."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is ready now."""

    database: str
    """Its kind."""
    primary_key: str
    temporal: str
    namespace: str


async def prepare(settings: Settings, *, limit: float = LIMIT_SECONDS) -> Prepared:
    """Make it ready; what is so already stays as it is.

    Raises:
        TemporalServerError: no Temporal server is configured or runs here.
        TemporalUnreachable: it does not answer within `limit` seconds, or refuses.
        SearchAttributesMissing: the server does not let this client add them.
        KeyringError, StorageError: as at the start of every process.
    """
    temporal = find_temporal(settings).address
    async with open_stores(settings) as stores:
        try:
            await prepare_namespace(temporal, settings.temporal_namespace, limit=limit, still_starting=lambda: None)
        except TimeoutError as error:
            raise TemporalUnreachable(
                f"the Temporal server at {temporal} is not ready after {limit:g} seconds ({error}): "
                "look at its log, or correct TIELINE_TEMPORAL_ADDRESS"
            ) from None
        return Prepared(stores.database.dialect, stores.keys.primary_id, temporal, settings.temporal_namespace)
