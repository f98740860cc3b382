"""Authentication by secrets that are typed in and never renewed."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from definitions.base import Model
from definitions.fields import SecretField
from definitions.placement import Place, Placement


def authorization(value: str) -> tuple[Placement, ...]:
    """The usual placement: an `Authorization` header."""
    return (Placement(in_=Place.HEADER, name="Authorization", value=value),)


class NotRenewing(Model):
    """What is typed in stays as it is until somebody types in something else."""

    @property
    def renews(self) -> bool:
        return False


class ApiTokenAuth(NotRenewing):
    """One secret, placed as the definition says."""

    type: Literal["api_token"]
    place: tuple[Placement, ...] = Field(min_length=1)

    def secret_fields(self) -> dict[str, SecretField]:
        return {"token": SecretField(label="API token")}

    def provides(self) -> frozenset[str]:
        return frozenset({"token"})


class BasicAuth(NotRenewing):
    """HTTP Basic (RFC 7617); `{credentials}` is base64 of `username:password`."""

    type: Literal["basic"]
    place: tuple[Placement, ...] = authorization("Basic {credentials}")

    def secret_fields(self) -> dict[str, SecretField]:
        return {"username": SecretField(label="User name", identifier=True), "password": SecretField(label="Password")}

    def provides(self) -> frozenset[str]:
        return frozenset({"username", "password", "credentials"})


class HostKeyPolicy(StrEnum):
    """How an SFTP server proves who it is."""

    KNOWN_HOSTS = "known_hosts"
    PINNED = "pinned"
    CONFIRM_FIRST = "confirm_first"
    INSECURE = "insecure"


class SftpAuth(NotRenewing):
    """User name with a password, an OpenSSH private key, or both. There is no default for the host-key policy."""

    type: Literal["sftp"]
    host_key: HostKeyPolicy
    place: tuple[Placement, ...] = Field(default=(), max_length=0)

    def secret_fields(self) -> dict[str, SecretField]:
        required = {"username": SecretField(label="User name", identifier=True)}
        optional = ("password", "private_key", "passphrase", "certificate")
        return required | {name: SecretField(optional=True) for name in optional}

    def provides(self) -> frozenset[str]:
        return frozenset(self.secret_fields())


class NoAuth(NotRenewing):
    """The service asks for no credential."""

    type: Literal["none"]
    place: tuple[Placement, ...] = Field(default=(), max_length=0)

    def secret_fields(self) -> dict[str, SecretField]:
        return {}

    def provides(self) -> frozenset[str]:
        return frozenset()
