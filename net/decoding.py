"""Undoes a content coding piece by piece, never past a limit, and notices when the end is missing."""

from __future__ import annotations

import zlib
from typing import Protocol

ACCEPT_ENCODING = "gzip, deflate"

_GZIP_MAGIC = b"\x1f\x8b"
_HEAD = 2
_GZIP_WBITS = zlib.MAX_WBITS | 16


class TooLargeError(Exception):
    """The decoded body would pass the limit."""


class UndecodableError(Exception):
    """The coding was not asked for, or its data is damaged or cut short."""


class Decoder(Protocol):
    """Takes a body in pieces and holds what it decodes to."""

    def feed(self, piece: bytes) -> None:
        """Raises TooLargeError past the limit, UndecodableError on damaged data."""

    def finish(self) -> bytes:
        """The whole; raises UndecodableError when its end is missing."""


def decoder_for(codings: list[str], limit: int) -> Decoder:
    """The decoder for the values of Content-Encoding, up to `limit` decoded bytes.

    Raises:
        UndecodableError: a coding that was not asked for, or several over one another.
    """
    named = [
        name for value in codings for name in value.lower().replace(" ", "").split(",") if name not in ("", "identity")
    ]
    if not named:
        return Identity(limit)
    if named in (["gzip"], ["x-gzip"]):
        return Inflate(limit, gzip=True)
    if named == ["deflate"]:
        return Inflate(limit, gzip=False)
    raise UndecodableError


class Identity:
    """No coding."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            raise TooLargeError
        self._pieces.append(piece)

    def finish(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


class Inflate:
    """gzip (also several members, RFC 1952 §2.2) and deflate, with or without its zlib wrapper (RFC 9110 §8.4.1.2)."""

    def __init__(self, limit: int, *, gzip: bool) -> None:
        self._coded_left = self._left = limit
        self._gzip = gzip
        self._inflate: zlib._Decompress | None = None
        self._held = b""
        self._over = False
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        # A body of countless empty members would never reach the limit by what it decodes to.
        self._coded_left -= len(piece)
        piece = self._held + piece
        self._held = b""
        while piece and not self._over:
            if self._inflate is None or self._inflate.eof:
                if len(piece) < _HEAD:
                    self._held = piece
                    return
                self._begin(piece)
            else:
                piece = self._decompress(self._inflate, piece)

    def finish(self) -> bytes:
        if self._inflate is None and not self._held:
            return b""
        if self._inflate is None or not self._inflate.eof:
            raise UndecodableError
        return b"".join(self._pieces)

    def _begin(self, piece: bytes) -> None:
        """Start on the first or the next member; what follows the last one is padding and ignored."""
        if self._inflate is not None and not (self._gzip and piece.startswith(_GZIP_MAGIC)):
            self._over = True
        elif self._gzip:
            self._inflate = zlib.decompressobj(_GZIP_WBITS)
        else:
            wrapped = piece[0] & 0x0F == 8 and int.from_bytes(piece[:2], "big") % 31 == 0
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)

    def _decompress(self, inflate: zlib._Decompress, piece: bytes) -> bytes:
        try:
            decoded = inflate.decompress(piece, self._left + 1)
        except zlib.error:
            raise UndecodableError from None
        self._left -= len(decoded)
        if self._left < 0 or self._coded_left < 0:
            raise TooLargeError
        self._pieces.append(decoded)
        return inflate.unconsumed_tail or inflate.unused_data
