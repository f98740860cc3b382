"""The activity that does one SFTP operation."""

from temporalio import activity

from definitions.run import SftpCall
from definitions.sftp import SftpResult


class SftpActivities:
    """Moves files to and from other people's SFTP servers with the credential of the moment."""

    @activity.defn(name="tieline.sftp")
    async def operate(self, call: SftpCall) -> SftpResult:
        """To be built."""
        raise NotImplementedError
