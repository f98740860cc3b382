"""Whether files can be kept: what the doctor says of the place where assets lie."""

from collections.abc import Sequence

from runtime.findings import Finding, State
from runtime.stores import Stores
from storage.errors import AssetStoreUnavailable


async def asset_findings(stores: Stores) -> Sequence[Finding]:
    """A folder that works is not worth a line."""
    try:
        await stores.assets.check()
        standing = await stores.assets.standing()
    except AssetStoreUnavailable as error:
        return [Finding("assets", State.UNREACHABLE, str(error))]
    if standing.others:
        return [Finding("assets", State.WRONG, standing.objection())]
    if stores.settings.assets_url is None:
        return []
    return [Finding("assets", State.OK, f"in {stores.assets.where}, which can be listed; drafts can be written here")]
