"""Answers that cannot be used as they are: what becomes of the run, what the provider saw, and what is kept."""

import base64
import gzip
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fixtures.http import Headers, Received, Wire
from tests.fixtures.leftovers import payload_files
from tests.fixtures.memory import growth_during
from tests.fixtures.told import JSON, Told, answer, failure, fresh

GZIP: Headers = [*JSON, ("Content-Encoding", "gzip")]
MEGABYTE = 1024 * 1024
LAYERS = 30
LAYERED: Headers = [*JSON, ("Content-Encoding", ", ".join(["gzip"] * LAYERS))]

pytestmark = pytest.mark.timeout(60)


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def bomb() -> bytes:
    """100 MiB in 100 KB: ten members of a gzip file (RFC 1952 §2.2)."""
    return gzip.compress(bytes(10 * MEGABYTE)) * 10


def layered() -> bytes:
    body = b'{"a": 1}'
    for _ in range(LAYERS):
        body = gzip.compress(body)
    return body


async def chunks_without_end(_: Received, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await wire.send(b"10000\r\n" + b"0" * 0x10000 + b"\r\n")


@dataclass(frozen=True)
class Unusable:
    """An answer of which the caller can make nothing, and the words by which the failure tells why."""

    body: Callable[[], bytes]
    headers: Headers
    why: str


UNUSABLE = {
    "no JSON": Unusable(lambda: b"<html>oops</html>", JSON, "the body is not JSON"),
    "not UTF-8": Unusable(lambda: b'{"name": "caf\xe9"}', JSON, "not text in UTF-8"),
    "NaN": Unusable(lambda: b'{"price": NaN}', JSON, "NaN or Infinity"),
    "10,000 levels": Unusable(lambda: deep(10_000), JSON, "nested deeper than"),
    "100 levels": Unusable(lambda: deep(100), JSON, "nested deeper than"),
    "cut gzip": Unusable(lambda: gzip.compress(b'{"a": 1}' * 100)[:-20], GZIP, "compression is unknown or damaged"),
    "no gzip": Unusable(lambda: b'{"a": 1}', GZIP, "compression is unknown or damaged"),
    "brotli": Unusable(lambda: b"x", [*JSON, ("Content-Encoding", "br")], "compression is unknown or damaged"),
    "30 layers": Unusable(layered, LAYERED, "compression is unknown or damaged"),
    "a bomb": Unusable(bomb, GZIP, "a body of more than 1048576 bytes"),
    "30 MB": Unusable(lambda: bytes(30 * MEGABYTE), JSON, "a body of more than 1048576 bytes"),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("what", UNUSABLE)
async def test_a_call_answered_with_what_cannot_be_used_is_completed_and_never_sent_again(
    told: Told, what: str, method: str
) -> None:
    path, unusable = fresh("/unusable"), UNUSABLE[what]
    told.server.reply(f"/api{path}", 200, unusable.body(), unusable.headers)
    run = await told.start(path, method=method, answer="value" if "bytes" in unusable.why else "auto")
    found = failure(await told.ended(run))
    assert (found.category, found.verdict, found.actor) == ("result_unusable", "final", "user")
    assert unusable.why in found.message
    assert found.suggested_action.startswith("the call was completed")
    assert len(told.server.to(f"/api{path}")) == 1
    assert await told.history_bytes(run) < 20_000


@pytest.mark.parametrize("limit", [{"answer": "value"}, {"max_asset_bytes": 3 * MEGABYTE}], ids=["value", "asset"])
async def test_an_answer_that_never_ends_is_cut_off_at_the_limit(told: Told, limit: dict[str, Any]) -> None:
    path = fresh("/endless")
    told.server.on(f"/api{path}", chunks_without_end)
    found = failure(await told.call(path, method="POST", **limit))
    assert (found.category, found.verdict) == ("result_unusable", "final")
    assert len(told.server.to(f"/api{path}")) == 1


@pytest.mark.parametrize("limit", [{"answer": "value"}, {"max_asset_bytes": 50 * MEGABYTE}], ids=["value", "asset"])
async def test_a_bomb_of_100_mib_takes_no_20_mib_of_memory(told: Told, limit: dict[str, Any]) -> None:
    path, body = fresh("/bomb"), bomb()
    assert len(body) < 200_000
    told.server.reply(f"/api{path}", 200, body, GZIP)
    found, grown = await growth_during(lambda: told.call(path, **limit))
    failure(found)
    assert grown < 20 * MEGABYTE


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (rb'{"name": "\ud800 half"}', "application/json", {"name": "\ufffd half"}),
        (rb'{"name": "nul \u0000"}', "application/json", {"name": "nul \x00"}),
        (b'\xef\xbb\xbf{"a": 1}', "application/json", {"a": 1}),
        (b'{"a": 1}', "application/json; charset=rot13", {"a": 1}),
        ("café".encode("latin-1"), "text/plain; charset=iso-8859-1", "café"),
        (b"caf\xe9", "text/plain; charset=utf-8", base64.b64encode(b"caf\xe9").decode()),
        (b"cebva", "text/plain; charset=rot13", base64.b64encode(b"cebva").decode()),
        (b"", "application/json", None),
    ],
)
async def test_an_odd_answer_comes_back_in_a_form_that_can_be_stored(
    told: Told, body: bytes, content_type: str, value: object
) -> None:
    path = fresh("/odd")
    told.server.reply(f"/api{path}", 200, body, [("Content-Type", content_type)])
    assert answer(await told.call(path, method="POST")).body == value
    assert len(told.server.to(f"/api{path}")) == 1


async def test_a_large_answer_stands_encrypted_beside_the_history(told: Told) -> None:
    path = fresh("/large")
    content = json.dumps([{"id": number, "name": uuid.uuid4().hex} for number in range(12_000)]).encode()
    assert len(content) > 600_000
    told.server.reply(f"/api{path}", body=content, headers=JSON)
    run = await told.start(path)
    assert answer(await told.ended(run)).body == json.loads(content)
    assert await told.history_bytes(run) < 10_000
    stored = payload_files(told.tieline)
    assert max(map(len, stored)) > 600_000
    assert not [file for file in stored if b'"name"' in file]
