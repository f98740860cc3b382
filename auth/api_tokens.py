"""Who may use the HTTP API, and what for: tokens of which only hashes are kept.

A token is `tieline_ID_SECRET`: the id finds its row, the secret is 256 random bits, and the last six characters are a
checksum, so that secret scanners know a real one when they see it.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from auth.errors import AuthError, suggestion
from net.redaction import LIVE_SECRETS
from storage.api_tokens import (
    ApiToken,
    all_tokens,
    any_token,
    insert_token,
    kept_token,
    note_use,
    revoke_token,
)
from storage.database import Database

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET_CHARACTERS = 43
"""As many as 256 bits take in base 62."""
CHECKSUM_CHARACTERS = 6

_FORM = re.compile(r"tieline_([0-9a-f]{12})_[0-9A-Za-z]{49}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Scope(StrEnum):
    """What a token is good for; none contains another."""

    RUNS_START = "runs:start"
    RUNS_READ = "runs:read"
    RUNS_DECIDE = "runs:decide"
    """Decide about runs that wait, and cancel runs."""
    MANAGE = "manage"
    """Integrations, accounts, profiles and definitions; deleting assets that nothing needs."""


class ApiTokenError(AuthError):
    """A token cannot be created like this; the text says what to do."""


class TokenRefused(AuthError):
    """A presented token is not accepted; the text says why, and is for the log only."""


class ApiTokens:
    """The tokens of one installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, name: str, scopes: Sequence[str], allow: Sequence[str] = (), lifetime: timedelta | None = None
    ) -> tuple[ApiToken, str]:
        """A new token and its text, which cannot be had again.

        Raises:
            ApiTokenError: a name, scope, network or lifetime that cannot be.
            AlreadyExists: a token of this name is in use.
        """
        if not _NAME.fullmatch(name):
            raise ApiTokenError(f"token name {name!r}: letters, digits and _ . - only, at most 64")
        if lifetime is not None and lifetime <= timedelta():
            raise ApiTokenError("a token must be good for longer than no time")
        wanted, networks = _scopes(scopes), [_network(each) for each in allow]
        token_id, text = _minted()
        async with self._database.write() as connection:
            seconds = None if lifetime is None else lifetime.total_seconds()
            token = await insert_token(connection, token_id, name, _hash(text), wanted, networks, seconds)
        LIVE_SECRETS.add(text)
        return token, text

    async def list(self) -> Sequence[ApiToken]:
        """Those in use, then the revoked ones; by name."""
        async with self._database.read() as connection:
            return await all_tokens(connection)

    async def revoke(self, name: str) -> ApiToken:
        """End a token at once. Raises NotFound."""
        async with self._database.write() as connection:
            return await revoke_token(connection, name)

    async def are_used(self) -> bool:
        """Whether there was ever a token: from the first one on, nobody comes in without."""
        async with self._database.read() as connection:
            return await any_token(connection)

    async def verify(self, text: str, address: str) -> ApiToken:
        """The token that a request from this IP address presents.

        Raises:
            TokenRefused: it is none, revoked, expired, or not good for this address.
        """
        token_id = token_id_of(text)
        if token_id is None:
            raise TokenRefused("what was presented is no token of Tieline's")
        async with self._database.read() as connection:
            kept = await kept_token(connection, token_id)
        # The same work whether the row is there or not; what is compared is a hash of what the stranger chose.
        if not hmac.compare_digest(_hash(text), kept.hash if kept else _hash("")) or kept is None:
            raise TokenRefused(f"token {token_id} is unknown")
        LIVE_SECRETS.add(text)
        token = kept.token
        if token.revoked_at is not None:
            raise TokenRefused(f"token {token.name!r} was revoked")
        if token.expires_at is not None and token.expires_at <= kept.now:
            raise TokenRefused(f"token {token.name!r} has expired")
        if not _allowed(address, token.allow):
            raise TokenRefused(f"token {token.name!r} may not be used from {address}")
        if kept.use_is_old:
            async with self._database.write() as connection:
                await note_use(connection, token.id)
        return token


def token_id_of(text: str) -> str | None:
    """The id in a text that looks like a token and whose checksum is right."""
    found = _FORM.fullmatch(text)
    if found is None or _checksum(text[:-CHECKSUM_CHARACTERS]) != text[-CHECKSUM_CHARACTERS:]:
        return None
    return found[1]


def _minted() -> tuple[str, str]:
    token_id = secrets.token_hex(6)
    body = f"tieline_{token_id}_{_base62(secrets.randbits(256), SECRET_CHARACTERS)}"
    return token_id, body + _checksum(body)


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_CHARACTERS)


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def _hash(text: str) -> str:
    """Plain SHA-256: nobody guesses 256 random bits, so nothing is won by making it slow."""
    return hashlib.sha256(text.encode()).hexdigest()


def _scopes(given: Sequence[str]) -> list[str]:
    known = [scope.value for scope in Scope]
    if not given:
        raise ApiTokenError(f"a token needs a scope: {', '.join(known)}")
    for scope in given:
        if scope not in known:
            raise ApiTokenError(f"there is no scope {scope!r}.{suggestion(scope, known)} All: {', '.join(known)}")
    return [scope for scope in known if scope in given]


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ApiTokenError(f"{text!r} is no address or network: {error}; write 10.0.0.7 or 10.0.0.0/24") from None


def _allowed(address: str, networks: Sequence[str]) -> bool:
    if not networks:
        return True
    found = plain_address(address)
    return found is not None and any(found in ip_network(network) for network in networks)


def plain_address(text: str) -> IPv4Address | IPv6Address | None:
    """An IP address without its zone; an IPv4 address in IPv6 clothes is the IPv4 address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
