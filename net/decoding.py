"""Undoes a content coding piece by piece, never past a limit, and notices when the end is missing."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from typing import Protocol

ACCEPT_ENCODING = b"gzip, deflate"

_GZIP_MAGIC = b"\x1f\x8b"
_HEAD = 2
_GZIP_WBITS = zlib.MAX_WBITS | 16
_STEP = 256 * 1024
_OVERHEAD = 4096
_EXPANSION = 1024
"""What coding may add to data that does not compress: a header, and less than a thousandth (RFC 1951 §3.2.4)."""


class TooLargeError(Exception):
    """The decoded body would pass the limit."""


class UndecodableError(Exception):
    """The coding was not asked for, or its data is damaged or cut short."""


class Decoder(Protocol):
    """Takes a body in pieces and gives what they decode to, in parts of bounded size."""

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Raises TooLargeError past the limit, UndecodableError on damaged data."""

    def end(self) -> None:
        """There is no further piece; raises UndecodableError when the coding's own end is missing."""


def decoder_for(codings: list[str], limit: int) -> Decoder:
    """The decoder for the values of Content-Encoding, up to `limit` decoded bytes.

    A coding that was not asked for, or several over one another, is refused with the first byte: an answer without a
    body (to HEAD, or 304) only tells how the body would be coded.
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
    return Unknown()


class Identity:
    """No coding."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def decode(self, piece: bytes) -> Iterator[bytes]:
        self._left -= len(piece)
        if self._left < 0:
            raise TooLargeError
        yield piece

    def end(self) -> None:
        pass


class Unknown:
    """A coding that cannot be undone."""

    def decode(self, piece: bytes) -> Iterator[bytes]:
        if piece:
            raise UndecodableError
        yield piece

    def end(self) -> None:
        pass


class Inflate:
    """gzip (also several members, RFC 1952 §2.2) and deflate, with or without its zlib wrapper (RFC 9110 §8.4.1.2)."""

    def __init__(self, limit: int, *, gzip: bool) -> None:
        self._left = limit
        self._coded_left = limit + limit // _EXPANSION + _OVERHEAD
        self._gzip = gzip
        self._inflate: zlib._Decompress | None = None
        self._held = b""
        self._over = False

    def decode(self, piece: bytes) -> Iterator[bytes]:
        # Countless empty members, or padding without end, would never reach the limit by what they decode to.
        self._coded_left -= len(piece)
        if self._coded_left < 0:
            raise TooLargeError
        piece = self._held + piece
        self._held = b""
        while piece and not self._over:
            if self._inflate is None or self._inflate.eof:
                if len(piece) < _HEAD:
                    self._held = piece
                    return
                self._begin(piece)
            else:
                piece = yield from self._decompress(self._inflate, piece)

    def end(self) -> None:
        if self._inflate is None and not self._held:
            return
        if self._inflate is None or not self._inflate.eof:
            raise UndecodableError

    def _begin(self, piece: bytes) -> None:
        """Start on the first or the next member; what follows the last one is padding and ignored."""
        if self._inflate is not None and not (self._gzip and piece.startswith(_GZIP_MAGIC)):
            self._over = True
        elif self._gzip:
            self._inflate = zlib.decompressobj(_GZIP_WBITS)
        else:
            wrapped = piece[0] & 0x0F == 8 and int.from_bytes(piece[:2], "big") % 31 == 0
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)

    def _decompress(self, inflate: zlib._Decompress, piece: bytes) -> Generator[bytes, None, bytes]:
        """Decode a piece step by step; what is left over is not of this member."""
        full = True
        while full and not inflate.eof:
            try:
                decoded = inflate.decompress(piece, _STEP)
            except zlib.error:
                raise UndecodableError from None
            self._left -= len(decoded)
            if self._left < 0:
                raise TooLargeError
            yield decoded
            piece = inflate.unconsumed_tail
            full = len(decoded) == _STEP
        return inflate.unused_data
