"""Encryption of everything that a run stores in Temporal: inputs, results, memos, summaries, failure texts.

Format: a payload with `encoding: binary/encrypted`, the id of the key-encryption key it was derived from, and
`nonce (12) | AES-256-GCM ciphertext` of the serialised payload. A key that was rotated out stays in the keyring, so
old histories remain readable.
"""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from auth.keys import KekProvider

ENCODING = b"binary/encrypted"
KEY_ID = "tieline-key"
PURPOSE = b"tieline temporal payload v1"
NONCE_BYTES = 12


class UndecodablePayload(ValueError):
    """A payload was not encrypted by this installation's keys, or was changed."""


class EncryptionCodec(PayloadCodec):
    """AES-256-GCM with a key derived from the keyring; refuses what is encrypted and cannot be authenticated.

    It hides; it does not bind. Payloads in clear pass, and one run's can stand in another's: whoever may write to
    Temporal's namespace may start runs anyway.
    """

    def __init__(self, keys: KekProvider) -> None:
        self._keys = keys
        self._ciphers: dict[str, AESGCM] = {}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt under the primary key."""
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt by the key that each payload names; payloads that are not encrypted pass.

        Raises:
            UndecodablePayload: the key is unknown here, or the payload was altered.
        """
        return [
            self._decrypt(payload) if payload.metadata.get("encoding") == ENCODING else payload for payload in payloads
        ]

    def _encrypt(self, payload: Payload) -> Payload:
        key_id = self._keys.primary_id
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher(key_id).encrypt(nonce, payload.SerializeToString(), key_id.encode())
        return Payload(metadata={"encoding": ENCODING, KEY_ID: key_id.encode()}, data=nonce + sealed)

    def _decrypt(self, payload: Payload) -> Payload:
        key_id = payload.metadata.get(KEY_ID, b"").decode("ascii", "replace")
        if key_id not in self._keys.ids:
            raise UndecodablePayload(
                f"a payload is encrypted with key {key_id!r}, which this keyring does not hold: add that key"
            )
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(self._cipher(key_id).decrypt(nonce, sealed, key_id.encode()))
        except (InvalidTag, ValueError):  # ValueError: not even a nonce is left
            raise UndecodablePayload(f"a payload under key {key_id!r} was altered or cut short") from None

    def _cipher(self, key_id: str) -> AESGCM:
        if key_id not in self._ciphers:
            self._ciphers[key_id] = AESGCM(self._keys.derive(key_id, PURPOSE))
        return self._ciphers[key_id]
