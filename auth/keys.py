"""The key-encryption keys of an installation. Without one nothing starts.

A key file is JSON: `{"primary": ID, "keys": {ID: base64 of 32 bytes}}`, mode 0600. The primary key wraps what is
written; the others open what was written before a rotation, histories in Temporal among it.
"""

import base64
import binascii
import contextlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

KEY_BYTES = 32
NONCE_BYTES = 12


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
    """Keys held in this process."""

    def __init__(self, primary: str, keys: Mapping[str, bytes], path: Path | None = None) -> None:
        self._primary = primary
        self._keys = dict(keys)
        self._ciphers = {kek_id: AESGCM(key) for kek_id, key in keys.items()}
        self._path = path

    @property
    def primary_id(self) -> str:
        return self._primary

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self._keys)

    @property
    def origin(self) -> str:
        """Where the keys come from, for messages."""
        return str(self._path) if self._path else "TIELINE_KEYS"

    def wrap(self, dek: bytes, aad: bytes) -> tuple[str, bytes]:
        nonce = os.urandom(NONCE_BYTES)
        return self._primary, nonce + self._ciphers[self._primary].encrypt(nonce, dek, aad)

    def unwrap(self, kek_id: str, blob: bytes, aad: bytes) -> bytes:
        cipher = self._ciphers.get(kek_id)
        if cipher is None:
            raise UnknownKey(f"key {kek_id!r} is not in {self.origin}: put it back, or restore its backup")
        try:
            return cipher.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], aad)
        except (InvalidTag, ValueError):
            raise Unwrappable("a wrapped key was changed or belongs to another record") from None

    def derive(self, kek_id: str, purpose: bytes) -> bytes:
        if kek_id not in self._keys:
            raise UnknownKey(f"key {kek_id!r} is not in {self.origin}")
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose).derive(self._keys[kek_id])

    def add_primary(self) -> str:
        """Make a new key, write it to the key file, and wrap with it from now on.

        Raises:
            KeyringError: the keys come from the environment.
        """
        if self._path is None:
            raise KeyringError(
                "the keys come from TIELINE_KEYS: put a new ID:BASE64 in front of the others there, restart every "
                "process, then run this again"
            )
        kek_id, key = _new_key()
        keys = {**self._keys, kek_id: key}
        _write(self._path, kek_id, keys, replace=True)
        self._primary, self._keys = kek_id, keys
        self._ciphers[kek_id] = AESGCM(key)
        return kek_id

    def __repr__(self) -> str:
        return f"Keyring({self._primary}, {len(self._keys)} keys)"


def load_keyring(environment: SecretStr | None, path: Path) -> Keyring:
    """The keys of the environment when there are any, else of the key file, which is made when it is missing.

    Raises:
        KeyringError: the keys cannot be used.
    """
    if environment is not None:
        return from_environment(environment.get_secret_value())
    if not path.exists():
        kek_id, key = _new_key()
        with contextlib.suppress(FileExistsError):  # another process was first
            _write(path, kek_id, {kek_id: key}, replace=False)
    return from_file(path)


def from_environment(text: str) -> Keyring:
    """Keys as `ID:BASE64,ID:BASE64`, the primary one first. Raises KeyringError."""
    pairs = [part.partition(":") for part in text.split(",") if part.strip()]
    if not pairs:
        raise KeyringError("TIELINE_KEYS is empty: set it to ID:BASE64 of 32 random bytes, or unset it for a key file")
    keys = {kek_id.strip(): _decoded(kek_id.strip(), encoded, "TIELINE_KEYS") for kek_id, _, encoded in pairs}
    return Keyring(pairs[0][0].strip(), keys)


def from_file(path: Path) -> Keyring:
    """Keys of a key file that only its owner can read. Raises KeyringError."""
    try:
        mode = path.stat().st_mode
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyringError(f"the key file {path} cannot be read: {getattr(error, 'strerror', 'not text')}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyringError(f"the key file {path} can be read by others: chmod 600 {path}")
    try:
        data = json.loads(content)
        keys = {str(kek_id): _decoded(str(kek_id), encoded, str(path)) for kek_id, encoded in data["keys"].items()}
        primary = data["primary"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeyringError(f"the key file {path} is damaged: restore it from a backup") from None
    if primary not in keys:
        raise KeyringError(f"the key file {path} is damaged: its primary key is not among its keys")
    return Keyring(primary, keys, path)


def _decoded(kek_id: str, encoded: str, origin: str) -> bytes:
    try:
        key = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise KeyringError(f"{origin}: key {kek_id!r} is no base64") from None
    if len(key) != KEY_BYTES or not kek_id:
        raise KeyringError(f"{origin}: key {kek_id!r} must be an id and {KEY_BYTES} bytes, it has {len(key)}")
    return key


def _new_key() -> tuple[str, bytes]:
    return f"k{secrets.token_hex(4)}", secrets.token_bytes(KEY_BYTES)


def _write(path: Path, primary: str, keys: Mapping[str, bytes], *, replace: bool) -> None:
    """Complete or not at all, and never readable by others, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = {"primary": primary, "keys": {kek_id: base64.b64encode(key).decode() for kek_id, key in keys.items()}}
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
