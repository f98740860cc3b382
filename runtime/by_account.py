"""The credential of one account by its name, for whoever tries it without a run."""

from auth.credential import Credential
from auth.errors import NeedsReconnect
from auth.resolver import CredentialResolver
from definitions.refs import CredentialRef


class ByAccount:
    """Resolves to one account, whatever profiles bind; the reference's adapter holds its name."""

    def __init__(self, resolver: CredentialResolver) -> None:
        self._resolver = resolver

    async def resolve(self, ref: CredentialRef) -> Credential:
        return await self._resolver.resolve_account(ref.adapter)

    async def renew(self, credential: Credential) -> Credential:
        return await self._resolver.renew(credential)

    async def note_dead(self, credential: Credential, cause: str, told: NeedsReconnect) -> None:
        """Whoever tries an account is told of it by the answer."""

    async def note_well(self, credential: Credential) -> None:
        await self._resolver.note_well(credential)
