"""The key-encryption keys of an installation. Without one nothing starts.

A key file is JSON: `{"primary": ID, "keys": {ID: base64 of 32 bytes}}`, mode 0600. The primary key wraps what is
written; the others open what was written before a rotation, histories in Temporal among it. A running process follows
its key file: it wraps with a new primary key from the moment that one stands there.
"""

import base64
import binascii
import contextlib
import json
import logging
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from auth.private_file import Stamp, changing, stamp, write_private

logger = logging.getLogger(__name__)

KEY_BYTES = 32
NONCE_BYTES = 12

_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""Shorter than a key in any notation: an id that messages show can never be a key in the wrong place."""


class KeyringError(Exception):
    """The keys cannot be read, made or used; the text never holds a key."""


class UnknownKey(KeyringError):
    """A record names a key that this keyring does not hold."""


class Unwrappable(KeyringError):
    """A wrapped key was changed, or belongs to another record."""


class KekProvider(Protocol):
    """Wraps data keys; a key file, the environment, or a key management service."""

    @property
    def primary_id(self) -> str:
        """The key that wraps what is written now."""

    @property
    def ids(self) -> frozenset[str]:
        """Every key that can still be opened."""

    def wrap(self, dek: bytes, aad: bytes) -> tuple[str, bytes]:
        """Wrap a data key under the primary key; returns the key's id and the wrapped key."""

    def unwrap(self, kek_id: str, blob: bytes, aad: bytes) -> bytes:
        """Open a wrapped data key. Raises UnknownKey, Unwrappable."""

    def derive(self, kek_id: str, purpose: bytes) -> bytes:
        """Another 32-byte key for one purpose (HKDF-SHA-256, RFC 5869). Raises UnknownKey."""


class Keyring:
    """Keys held in this process; those of a key file are followed as the file changes."""

    def __init__(self, primary: str, keys: Mapping[str, bytes], path: Path | None = None) -> None:
        self._path = path
        self._seen: Stamp | None = None
        self._keys: dict[str, bytes] = {}
        self._ciphers: dict[str, AESGCM] = {}
        self._take(primary, keys)

    @property
    def primary_id(self) -> str:
        self._follow()
        return self._primary

    @property
    def ids(self) -> frozenset[str]:
        self._follow()
        return frozenset(self._keys)

    @property
    def origin(self) -> str:
        """Where the keys come from, for messages."""
        return str(self._path) if self._path else "TIELINE_KEYS"

    def wrap(self, dek: bytes, aad: bytes) -> tuple[str, bytes]:
        nonce, kek_id = os.urandom(NONCE_BYTES), self.primary_id
        return kek_id, nonce + self._ciphers[kek_id].encrypt(nonce, dek, aad)

    def unwrap(self, kek_id: str, blob: bytes, aad: bytes) -> bytes:
        self._require(kek_id)
        try:
            return self._ciphers[kek_id].decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], aad)
        except (InvalidTag, ValueError):
            raise Unwrappable("a wrapped key was changed or belongs to another record") from None

    def derive(self, kek_id: str, purpose: bytes) -> bytes:
        self._require(kek_id)
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose).derive(self._keys[kek_id])

    def add_primary(self) -> str:
        """Make a new key, write it to the key file, and wrap with it from now on; every running process does.

        Raises:
            KeyringError: the keys come from the environment, or the file cannot be changed.
        """
        if self._path is None:
            raise KeyringError(
                "the keys come from TIELINE_KEYS: put a new ID:BASE64 behind the others there and restart every "
                "process, put it in front and restart them again, then run this again"
            )
        with _fit_to_write(self._path), changing(self._path):
            _, keys = _read(self._path)
            kek_id, key = _new_key()
            keys[kek_id] = key
            write_private(self._path, _content(kek_id, keys), replace=True)
        self._take(kek_id, keys)
        return kek_id

    def drop(self, kek_id: str) -> None:
        """Take a key out of the key file. Whoever calls this has made sure that no record needs it.

        Raises:
            KeyringError: it is the primary one, or not there, or the keys come from the environment.
        """
        if self._path is None:
            raise KeyringError(f"the keys come from TIELINE_KEYS: take {kek_id!r} out there, and restart every process")
        with _fit_to_write(self._path), changing(self._path):
            primary, keys = _read(self._path)
            if kek_id == primary:
                raise KeyringError(f"key {kek_id!r} is the primary one: rotate the keys first")
            if keys.pop(kek_id, None) is None:
                raise KeyringError(f"there is no key {kek_id!r} in {self._path}; it holds {', '.join(keys)}")
            write_private(self._path, _content(primary, keys), replace=True)
        self._keys.pop(kek_id, None)  # another process may have added it since this one looked
        self._ciphers.pop(kek_id, None)

    def _take(self, primary: str, keys: Mapping[str, bytes]) -> None:
        """A key that is gone from the file still opens what it has wrapped, for as long as this process lives."""
        self._primary = primary
        self._keys.update(keys)
        self._ciphers.update({kek_id: AESGCM(key) for kek_id, key in keys.items()})

    def _follow(self) -> None:
        """Take over what another process has written to the key file; one `stat` when nothing has changed."""
        now = stamp(self._path) if self._path else None
        if self._path is None or now is None or now == self._seen:
            return
        self._seen = now
        try:
            self._take(*_read(self._path))
        except KeyringError as error:
            logger.warning("%s; the keys that were read before stay in use", error)

    def _require(self, kek_id: str) -> None:
        if kek_id not in self._keys:
            self._follow()
        if kek_id not in self._keys:
            raise UnknownKey(f"key {kek_id!r} is not in {self.origin}: put it back, or restore its backup")

    def __repr__(self) -> str:
        return f"Keyring({self._primary}, {len(self._keys)} keys)"


def load_keyring(environment: SecretStr | None, path: Path, *, needed: Collection[str] = ()) -> Keyring:
    """The keys of the environment when there are any, else of the key file.

    `needed` are the ids that stored secrets name: a missing key file is made only when there are none.

    Raises:
        KeyringError: the keys cannot be used, or all of those needed are missing.
    """
    names = ", ".join(sorted(needed))
    with _fit_to_write(path):
        if environment is None and not path.exists():
            if needed:
                raise KeyringError(
                    f"the key file {path} is missing, and secrets are stored that need {names}: {_FIND_THEM}"
                )
            _make(path)
    keys = from_file(path) if environment is None else from_environment(environment.get_secret_value())
    missing = set(needed) - keys.ids
    if missing and missing == set(needed):
        raise KeyringError(f"{keys.origin} holds no key that a stored secret needs, which are {names}: {_FIND_THEM}")
    if missing:
        logger.warning(
            "secrets are stored that need %s, not in %s: put the key back, or save them again",
            ", ".join(sorted(missing)),
            keys.origin,
        )
    return keys


_FIND_THEM = (
    "restore the key file from its backup, or set TIELINE_KEYS. If the key is lost for good, delete all rows of table "
    "vault_records and save every secret again"
)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kek_id, key = _new_key()
    with contextlib.suppress(FileExistsError):  # another process was first
        write_private(path, _content(kek_id, {kek_id: key}), replace=False)


def from_environment(text: str) -> Keyring:
    """Keys as `ID:BASE64,ID:BASE64`, the primary one first. Raises KeyringError."""
    entries = [part.strip() for part in text.split(",") if part.strip()]
    if not entries:
        raise KeyringError("TIELINE_KEYS is empty: set it to ID:BASE64 of 32 random bytes, or unset it for a key file")
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(entries, start=1):
        kek_id, _, encoded = (part.strip() for part in entry.partition(":"))
        if not encoded or not _ID.fullmatch(kek_id):
            raise KeyringError(
                f"TIELINE_KEYS, entry {number}: write ID:BASE64, the id of 1 to 32 letters, digits, _ and -"
            )
        if kek_id in keys:
            raise KeyringError(f"TIELINE_KEYS, entry {number}: there are two keys {kek_id!r}")
        keys[kek_id] = _decoded(kek_id, encoded, "TIELINE_KEYS")
    return Keyring(next(iter(keys)), keys)


def from_file(path: Path) -> Keyring:
    """Keys of a key file that only its owner can read. Raises KeyringError."""
    return Keyring(*_read(path), path)


def _read(path: Path) -> tuple[str, dict[str, bytes]]:
    try:
        mode = path.stat().st_mode
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fault = getattr(error, "strerror", None) or "not text"
        raise KeyringError(f"the key file {path} cannot be read: {fault}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyringError(f"the key file {path} can be read by others: chmod 600 {path}")
    try:
        data = json.loads(content)
        primary, encoded = data["primary"], data["keys"]
    except (ValueError, KeyError, TypeError):
        raise KeyringError(f"the key file {path} is damaged: restore it from a backup") from None
    if not isinstance(encoded, dict) or primary not in list(encoded):
        raise KeyringError(f"the key file {path} is damaged: its primary key is not among its keys")
    if not all(_ID.fullmatch(kek_id) for kek_id in encoded):
        raise KeyringError(f"the key file {path} is damaged: an id is of 1 to 32 letters, digits, _ and -")
    return primary, {kek_id: _decoded(kek_id, key, str(path)) for kek_id, key in encoded.items()}


def _decoded(kek_id: str, encoded: object, origin: str) -> bytes:
    try:
        key = base64.b64decode(str(encoded), validate=True)
    except (binascii.Error, ValueError):
        raise KeyringError(f"{origin}: key {kek_id!r} is no base64") from None
    if len(key) != KEY_BYTES:
        raise KeyringError(f"{origin}: key {kek_id!r} must have {KEY_BYTES} bytes, it has {len(key)}")
    return key


def _new_key() -> tuple[str, bytes]:
    return f"k{secrets.token_hex(4)}", secrets.token_bytes(KEY_BYTES)


def _content(primary: str, keys: Mapping[str, bytes]) -> str:
    encoded = {kek_id: base64.b64encode(key).decode() for kek_id, key in keys.items()}
    return json.dumps({"primary": primary, "keys": encoded}, indent=2)


@contextlib.contextmanager
def _fit_to_write(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KeyringError(f"the key file {path} cannot be made or changed: {error.strerror}") from None
