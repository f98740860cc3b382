"""Answers of HTTP APIs as sources of uploads: read from the start, or gone on with where they are unchanged."""

from typing import Any

import pytest

from activities.http_streams import HttpSourceStreams
from activities.streams import HttpBytes, SourceFailed
from auth.credential import Credential
from auth.errors import NeedsReconnect
from definitions.integration import Integration
from definitions.refs import CredentialRef
from definitions.run import Failure, Verdict
from definitions.sftp import HttpSource
from net.client import GuardedClient
from tests.fixtures.http import Answer, FaultServer, Headers, Received, Wire

CONTENT = b"0123456789" * 1000
REF = CredentialRef(adapter="bank", profile="production", subject="ann")
DATED: Headers = [
    ("Last-Modified", "Wed, 25 Nov 2026 10:00:00 GMT"),
    ("Date", "Wed, 25 Nov 2026 10:01:00 GMT"),
]


class Accounts:
    """Of a server on this machine. `asked`: for whom; `dead`: all of them are."""

    def __init__(self, server: FaultServer) -> None:
        self._server = server
        self.asked: list[CredentialRef] = []
        self.dead = False
        self.renewable = True
        self._version = 0

    async def resolve(self, ref: CredentialRef) -> Credential:
        self.asked.append(ref)
        if self.dead:
            raise NeedsReconnect("account 'main' is dead", action="connect it again", account="main")
        definition = {"key": "told", "name": "Told", "base_url": self._server.url, "auth": {"type": "none"}}
        integration = Integration.model_validate({"kind": "integration", **definition})
        return Credential("id", "main", integration, token_version=self._version)

    async def renew(self, credential: Credential) -> Credential:
        self._version += self.renewable
        return await self.resolve(self.asked[-1])


@pytest.fixture
def accounts(http_server: FaultServer) -> Accounts:
    return Accounts(http_server)


@pytest.fixture
def streams(accounts: Accounts, http_client: GuardedClient) -> HttpSourceStreams:
    return HttpSourceStreams(accounts, http_client)


def serve_ranges(server: FaultServer, headers: Headers, content: bytes = CONTENT) -> None:
    """As a file server does that knows Range and If-Range (RFC 9110 §14)."""
    validators = {value for name, value in headers if name != "Date"}

    async def handler(received: Received, _: Wire) -> Answer:
        asked = received.header("Range")
        if asked is None or received.header("If-Range") not in validators:
            return Answer(200, content, headers)
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            return Answer(416, b"", [("Content-Range", f"bytes */{len(content)}")])
        told = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return Answer(206, content[start:], [*headers, ("Content-Range", told)])

    server.on("/file", handler)


async def read(streams: HttpSourceStreams, *resuming: Any, **source: Any) -> tuple[HttpBytes, bytes]:
    model = HttpSource.model_validate({"adapter": "crm", "path": "/file", **source})
    async with streams.open(REF, model, *resuming) as opened:
        return opened, b"".join([chunk async for chunk in opened.chunks])


async def failure(streams: HttpSourceStreams, *resuming: Any, **source: Any) -> Failure:
    with pytest.raises(SourceFailed) as failed:
        await read(streams, *resuming, **source)
    return failed.value.failure


async def test_a_source_is_read_with_its_own_adapter_for_the_same_profile_and_subject(
    streams: HttpSourceStreams, accounts: Accounts, http_server: FaultServer
) -> None:
    serve_ranges(http_server, [("ETag", '"v1"'), ("Content-Type", "text/csv")])

    opened, content = await read(streams, query={"year": "2026"}, headers={"X-Mine": "yes"})

    (received,) = http_server.received
    assert content == CONTENT
    assert (opened.start, opened.size, opened.validator, opened.media_type) == (0, len(CONTENT), '"v1"', "text/csv")
    assert accounts.asked == [CredentialRef(adapter="crm", profile="production", subject="ann")]
    assert (received.query, received.header("X-Mine")) == ([("year", "2026")], "yes")
    assert received.header("Accept-Encoding") == "identity"


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ([("ETag", '"v1"')], '"v1"'),
        ([("ETag", 'W/"v1"'), *DATED], None),
        ([("ETag", '"v 1"')], None),
        (DATED, "Wed, 25 Nov 2026 10:00:00 GMT"),
        ([DATED[0], ("Date", "Wed, 25 Nov 2026 10:00:30 GMT")], None),
        ([DATED[0]], None),
        ([("Last-Modified", "yesterday"), DATED[1]], None),
        ([], None),
    ],
)
async def test_only_what_changes_with_every_change_tells_that_a_source_is_the_same(
    streams: HttpSourceStreams, http_server: FaultServer, headers: Headers, validator: str | None
) -> None:
    http_server.reply("/file", body=CONTENT, headers=headers)

    assert (await read(streams))[0].validator == validator


@pytest.mark.parametrize("headers", [[("ETag", '"v1"')], DATED], ids=["etag", "date"])
async def test_the_rest_of_an_unchanged_source_is_had_from_where_it_stopped(
    streams: HttpSourceStreams, http_server: FaultServer, headers: Headers
) -> None:
    serve_ranges(http_server, headers)

    opened, content = await read(streams, 4000, headers[0][1])

    assert (opened.start, opened.size, content) == (4000, len(CONTENT), CONTENT[4000:])


async def test_of_a_source_that_was_read_to_its_end_nothing_is_left(
    streams: HttpSourceStreams, http_server: FaultServer
) -> None:
    serve_ranges(http_server, [("ETag", '"v1"')])

    opened, content = await read(streams, len(CONTENT), '"v1"')

    assert (opened.start, opened.size, opened.validator, content) == (len(CONTENT), len(CONTENT), '"v1"', b"")


@pytest.mark.parametrize("start", [4000, len(CONTENT) + 5])
async def test_a_source_that_has_changed_is_read_anew(
    streams: HttpSourceStreams, http_server: FaultServer, start: int
) -> None:
    serve_ranges(http_server, [("ETag", '"v2"')])

    opened, content = await read(streams, start, '"v1"')

    assert (opened.start, opened.validator, content) == (0, '"v2"', CONTENT)


@pytest.mark.parametrize(
    "rest",
    [
        Answer(206, CONTENT[4000:], [("Content-Range", f"bytes 4000-9999/{len(CONTENT)}"), ("ETag", '"v2"')]),
        Answer(416, b"", [("Content-Range", "bytes */20")]),
    ],
    ids=["the rest of another", "shorter now"],
)
async def test_a_server_that_overlooks_the_condition_is_asked_for_all_of_it(
    streams: HttpSourceStreams, http_server: FaultServer, rest: Answer
) -> None:
    http_server.replies("/file", rest, Answer(200, CONTENT, [("ETag", '"v2"')]))

    opened, content = await read(streams, 4000, '"v1"')

    assert (opened.start, opened.validator, content) == (0, '"v2"', CONTENT)
    assert [received.header("Range") for received in http_server.received] == ["bytes=4000-", None]


async def test_without_a_validator_the_whole_is_asked_for(streams: HttpSourceStreams, http_server: FaultServer) -> None:
    serve_ranges(http_server, [])

    opened, content = await read(streams, 4000, None)

    assert (opened.start, content) == (0, CONTENT)
    assert http_server.received[0].header("Range") is None


@pytest.mark.parametrize("told", ["bytes 0-9999/10000", "bytes 3999-9999/10000", "lines 4000-9999/10000", ""])
async def test_another_part_than_was_asked_for_is_not_taken(
    streams: HttpSourceStreams, http_server: FaultServer, told: str
) -> None:
    http_server.reply("/file", 206, CONTENT[4000:], [("Content-Range", told), ("ETag", '"v1"')])

    found = await failure(streams, 4000, '"v1"')

    assert (found.verdict, found.category) == (Verdict.AGAIN, "protocol_error")


@pytest.mark.parametrize(
    ("answer", "verdict", "category"),
    [
        (Answer(404, b"no"), Verdict.FINAL, "refused"),
        (Answer(500), Verdict.AGAIN, "provider_error"),
        (Answer(429, b"", [("Retry-After", "7")]), Verdict.AGAIN, "rate_limited"),
        (Answer(204), Verdict.FINAL, "refused"),
    ],
)
async def test_what_is_not_the_file_is_judged_as_for_any_call(
    streams: HttpSourceStreams, http_server: FaultServer, answer: Answer, verdict: Verdict, category: str
) -> None:
    http_server.replies("/file", answer)

    found = await failure(streams)

    assert (found.verdict, found.category, found.status) == (verdict, category, answer.status)
    assert found.message.startswith("GET crm/file · production · ann: ")


async def test_a_refused_token_is_renewed_once(streams: HttpSourceStreams, http_server: FaultServer) -> None:
    http_server.replies("/file", Answer(401), Answer(200, CONTENT))

    assert (await read(streams))[1] == CONTENT


async def test_a_credential_that_stays_refused_fails(
    streams: HttpSourceStreams, accounts: Accounts, http_server: FaultServer
) -> None:
    accounts.renewable = False
    http_server.reply("/file", 401)

    assert (await failure(streams)).category == "credential_refused"
    assert len(http_server.received) == 1


async def test_a_dead_account_is_named_for_the_run_to_wait_for(streams: HttpSourceStreams, accounts: Accounts) -> None:
    accounts.dead = True

    with pytest.raises(SourceFailed) as failed:
        await read(streams)

    assert failed.value.failure.verdict is Verdict.RECONNECT
    assert failed.value.ref == CredentialRef(adapter="crm", profile="production", subject="ann")


async def test_a_source_that_is_cut_fails_while_it_is_read(
    streams: HttpSourceStreams, http_server: FaultServer
) -> None:
    http_server.script("/file", b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + CONTENT[:-1])

    found = await failure(streams)

    assert (found.verdict, found.category) == (Verdict.AGAIN, "connection_lost")
