"""What an adapter in a profile stands for at the moment a step runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auth.secret import Secret
from definitions.integration import Integration
from storage.accounts import Account


@dataclass(frozen=True, slots=True, repr=False)
class OpenAccount:
    """A connected account with its integration and its decrypted secrets: what a token is asked for with."""

    account: "Account"
    integration: Integration
    parameters: Mapping[str, str] = field(default_factory=dict)
    """The account's, and the integration's defaults for the others."""
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    host_keys: Sequence[str] = ()
    """Of an SFTP server: what people confirmed (`auth.host_keys`)."""

    def texts(self) -> dict[str, str]:
        """Parameters and revealed secrets, for rendering templates; never to be kept."""
        return _texts(self.parameters, self.secrets)

    def __repr__(self) -> str:
        return f"OpenAccount({self.account.name!r}, {self.integration.key})"


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """A connected account's integration, parameters and secrets. Lives for seconds, in one process, nowhere else."""

    account_id: str
    account: str
    integration: Integration
    parameters: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Secret] = field(default_factory=dict)
    """Everything that placements may use, by name."""
    account_version: int = 1
    token_version: int = 0
    """0 for schemes without a token that is renewed."""
    expires_at: float | None = None
    """Epoch seconds by the database's clock."""
    host_keys: Sequence[str] = ()
    cause: str | None = None
    """Why the account counts as dead, for a credential that is given out nevertheless."""

    @property
    def version(self) -> tuple[int, int]:
        """Changes with every new secret and every new token."""
        return self.account_version, self.token_version

    def texts(self) -> dict[str, str]:
        """Parameters and revealed secrets, for rendering templates; never to be kept."""
        return _texts(self.parameters, self.values)

    def __repr__(self) -> str:
        return f"Credential({self.account!r}, {self.integration.key}, version {self.token_version})"


def _texts(parameters: Mapping[str, str], secrets: Mapping[str, Secret]) -> dict[str, str]:
    return {**parameters, **{name: secret.reveal() for name, secret in secrets.items()}}
