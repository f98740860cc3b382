"""One answer, read from pieces as a transport gives them."""

import tracemalloc
from collections.abc import AsyncGenerator

import httpcore2

from net.reading import Reading
from net.redirects import Hop
from net.targets import parse_target

GET = Hop("GET", parse_target("https://api.example/"), (), b"")


async def tiny_pieces(count: int) -> AsyncGenerator[bytes]:
    for number in range(count):
        yield number.to_bytes(3, "big")


async def test_a_body_in_tiny_pieces_takes_no_more_memory_than_one_in_large_ones() -> None:
    response = httpcore2.Response(200, content=tiny_pieces(30_000), extensions={"http_version": b"HTTP/1.1"})
    reading = Reading(response, GET, 0.0)
    tracemalloc.start()
    reply = await reading.whole(1024 * 1024)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(reply.body) == 90_000
    assert peak < 300_000
