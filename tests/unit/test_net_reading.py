"""One answer, read from pieces as a transport gives them."""

import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import httpcore2

from net.reading import Reading
from net.redirects import Hop
from net.targets import parse_target

GET = Hop("GET", parse_target("https://api.example/"), (), b"")


@dataclass
class TinyPieces:
    """`most`: how many objects there were at most, of all, when one was asked for."""

    count: int
    most: int = 0

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        for number in range(self.count):
            self.most = max(self.most, sys.getallocatedblocks())
            yield number.to_bytes(3, "big")


async def test_a_body_in_tiny_pieces_takes_no_more_memory_than_one_in_large_ones() -> None:
    pieces = TinyPieces(3_000)
    response = httpcore2.Response(200, content=pieces, extensions={"http_version": b"HTTP/1.1"})
    before = sys.getallocatedblocks()

    reply = await Reading(response, GET, 0.0).whole(1024 * 1024)

    assert len(reply.body) == 9_000
    assert pieces.most - before < 1_000
