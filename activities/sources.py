"""Bodies of requests that are read while they are sent: from the assets, or from a file that was opened elsewhere."""

from activities.streams import Assets, RemoteBytes
from definitions.asset import Asset
from definitions.operation import SftpBody
from net.messages import StreamedContent


class Sources:
    """Where a process, or one call of it, reads bodies from."""

    def __init__(self, assets: Assets | None, opened: RemoteBytes | None = None) -> None:
        self._assets = assets
        self._opened = opened

    def asset(self, asset: Asset) -> StreamedContent:
        """Raises ValueError where there are no assets."""
        assets = self._assets
        if assets is None:
            raise ValueError("no assets are at hand here to send one as a body")
        return StreamedContent(lambda: assets.read(asset), asset.size)

    def remote(self, body: SftpBody) -> StreamedContent:
        """Raises ValueError where it was not opened."""
        if self._opened is None:
            raise ValueError("no SFTP server can be reached from here to send a file of it as a body")
        return StreamedContent(self._opened.open, self._opened.size)


NO_SOURCES = Sources(None)
