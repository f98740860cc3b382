"""The activity that takes a host key for a server's own, because somebody decided so about a run that waits."""

from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from auth.errors import AuthError
from definitions.base import Model
from definitions.sftp import HostKeyChange
from storage.errors import NotFound


class Trust(Model):
    """A decision to be carried out."""

    account: str
    change: HostKeyChange
    who: str
    why: str


class Trusting(Protocol):
    """`auth.host_keys.HostKeys`."""

    async def trust_presented(self, name: str, change: HostKeyChange, *, who: str, why: str) -> None:
        """Raises AuthError, NotFound."""


class HostKeyActivities:
    """Changes what accounts trust; twice is the same as once."""

    def __init__(self, trusting: Trusting) -> None:
        self._trusting = trusting

    @activity.defn(name="tieline.trust_host_key")
    async def trust(self, trust: Trust) -> None:
        """Runs that wait for the account go on, too. One that is gone, or trusts no keys any more, is no fault here:
        the call that follows says so."""
        try:
            await self._trusting.trust_presented(trust.account, trust.change, who=trust.who, why=trust.why)
        except (AuthError, NotFound) as error:
            activity.logger.warning("a host key was not taken for account %r: %s", trust.account, error)
        except Exception as error:
            raise ApplicationError(f"not stored yet: {type(error).__name__}", type="NotPerformed") from None
