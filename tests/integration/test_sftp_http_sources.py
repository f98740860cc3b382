"""Answers of HTTP APIs on their way to an SFTP server: gone on with where they are unchanged, else sent anew."""

import hashlib
from typing import Any

import pytest

from activities.http_streams import HttpSourceStreams
from activities.sftp_places import temporary_name
from auth.credential import Credential
from auth.errors import NeedsReconnect
from definitions.integration import Integration
from definitions.refs import CredentialRef
from definitions.run import Verdict
from net.client import GuardedClient
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.http import Answer, FaultServer, Received, Wire
from tests.fixtures.sftp_attempts import Attempts
from tests.fixtures.sftp_runs import sha256

SOURCE = {"type": "http", "adapter": "crm", "path": "/exports/march.csv"}


@pytest.fixture(scope="module")
def content() -> bytes:
    """6 MB in which no part is like another."""
    return b"".join(hashlib.sha256(index.to_bytes(4, "big")).digest() for index in range(190_000))


class Accounts:
    """Of the HTTP server on this machine, unless it is `dead`."""

    def __init__(self, server: FaultServer) -> None:
        self._server = server
        self.dead = False

    async def resolve(self, ref: CredentialRef) -> Credential:
        if self.dead:
            raise NeedsReconnect("account 'crm-main' is dead", action="connect it again", account="crm-main")
        definition = {"key": "crm", "name": "CRM", "base_url": self._server.url, "auth": {"type": "none"}}
        return Credential("id", "crm-main", Integration.model_validate({"kind": "integration", **definition}))

    async def renew(self, credential: Credential) -> Credential:
        return credential


@pytest.fixture
def accounts(http_server: FaultServer) -> Accounts:
    return Accounts(http_server)


@pytest.fixture
def sending(troubled: Attempts, accounts: Accounts, http_client: GuardedClient) -> Attempts:
    """To a server that fails as it is told to, from an HTTP API."""
    troubled.http = HttpSourceStreams(accounts, http_client)
    return troubled


def serve(server: FaultServer, content: bytes, etag: str | None) -> None:
    """As a file server that knows Range and If-Range; without a tag, as an API that does not."""
    headers = [] if etag is None else [("ETag", etag)]

    async def handler(received: Received, _: Wire) -> Answer:
        asked = received.header("Range")
        if asked is None or etag is None or received.header("If-Range") != etag:
            return Answer(200, content, headers)
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        told = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return Answer(206, content[start:], [*headers, ("Content-Range", told)])

    server.on(str(SOURCE["path"]), handler)


def upload(**more: Any) -> dict[str, Any]:
    return {"files": [{"source": SOURCE, "path": "in/"}], **more}


async def test_an_answer_arrives_under_the_name_of_its_path(
    sending: Attempts, http_server: FaultServer, content: bytes
) -> None:
    serve(http_server, content, None)

    result = await sending.do("upload", **upload())

    assert sending.names() == ["in/march.csv"]
    assert sending.path("in/march.csv").read_bytes() == content
    assert (result.sha256, result.bytes) == (sha256(content), len(content))


async def test_after_a_lost_line_only_the_rest_is_asked_for(
    sending: Attempts, http_server: FaultServer, faulty: FaultySftp, content: bytes
) -> None:
    serve(http_server, content, '"v1"')
    faulty.drop_after = 5_500_000
    await sending.fails("upload", **upload())

    result = await sending.do("upload", attempt=2, **upload())

    first, second = http_server.to(str(SOURCE["path"]))
    assert first.header("Range") is None
    assert second.header("Range") == f"bytes={result.resumed_from - 256 * 1024}-"
    assert sending.path("in/march.csv").read_bytes() == content
    assert (result.sha256, result.files[0].verified) == (sha256(content), "read_back")


async def test_a_gap_in_what_earlier_attempts_sent_is_found_although_nobody_knows_the_hash_of_the_source(
    sending: Attempts, http_server: FaultServer, faulty: FaultySftp, content: bytes
) -> None:
    """A server may lose what it has acknowledged."""
    serve(http_server, content, '"v1"')
    faulty.drop_after = 3_000_000
    await sending.fails("upload", **upload())
    faulty.drop_after = faulty.moved + 2_000_000
    await sending.fails("upload", attempt=2, **upload())
    (unfinished,) = sending.names()
    with sending.path(unfinished).open("r+b") as file:
        file.seek(1000)
        file.write(bytes(1000))

    failure = await sending.fails("upload", attempt=3, **upload(checksum_file=True))
    await sending.do("upload", attempt=4, **upload(checksum_file=True))

    assert len(http_server.to(str(SOURCE["path"]))) == 4
    assert (failure.verdict, failure.category) == (Verdict.AGAIN, "content_differs")
    assert sending.path("in/march.csv").read_bytes() == content
    assert sending.path("in/march.csv.sha256").read_text() == f"{sha256(content)}  march.csv\n"
    assert sending.names() == ["in/march.csv", "in/march.csv.sha256"]


async def test_a_transfer_that_is_interrupted_twice_goes_on_twice(
    sending: Attempts, http_server: FaultServer, faulty: FaultySftp, content: bytes
) -> None:
    serve(http_server, content, '"v1"')
    faulty.drop_after = faulty.moved + 3_000_000
    await sending.fails("upload", **upload())
    faulty.drop_after = faulty.moved + 2_000_000
    await sending.fails("upload", attempt=2, **upload())
    pieces = sending.progress.files[0].pieces

    result = await sending.do("upload", attempt=3, **upload())

    assert len(pieces) == 2
    assert result.resumed_from == pieces[-1].end
    assert (result.sha256, result.files[0].verified) == (sha256(content), "read_back")
    assert sending.path("in/march.csv").read_bytes() == content


async def test_what_nobody_knows_the_hash_of_is_not_gone_on_with_by_its_size(
    sending: Attempts, http_server: FaultServer, content: bytes
) -> None:
    serve(http_server, content, '"v1"')
    sending.path("in").mkdir()
    gap = bytearray(content[:5_500_000])
    gap[1000:2000] = bytes(1000)
    (sending.path("in") / temporary_name("march.csv", f"{sending.run}/0")).write_bytes(gap)
    sending.told = {"files": {"0": {"phase": "writing", "offset": 500, "size": len(content), "validator": '"v1"'}}}

    result = await sending.do("upload", attempt=2, **upload(checksum_file=True))

    assert (result.resumed_from, result.sha256) == (0, sha256(content))
    assert sending.path("in/march.csv").read_bytes() == content
    assert sending.names() == ["in/march.csv", "in/march.csv.sha256"]


async def test_a_source_that_has_changed_is_sent_anew(
    sending: Attempts, http_server: FaultServer, faulty: FaultySftp, content: bytes
) -> None:
    serve(http_server, content, '"v1"')
    faulty.drop_after = 5_500_000
    await sending.fails("upload", **upload())
    serve(http_server, content[::-1], '"v2"')

    result = await sending.do("upload", attempt=2, **upload())

    assert (result.resumed_from, result.sha256) == (0, sha256(content[::-1]))
    assert sending.names() == ["in/march.csv"]


async def test_a_source_that_cannot_be_told_apart_from_another_is_sent_anew(
    sending: Attempts, http_server: FaultServer, faulty: FaultySftp, content: bytes
) -> None:
    serve(http_server, content, None)
    faulty.drop_after = 5_500_000
    await sending.fails("upload", **upload())

    result = await sending.do("upload", attempt=2, **upload())

    assert (result.resumed_from, result.sha256) == (0, sha256(content))


async def test_an_answer_that_breaks_off_leaves_no_final_file(sending: Attempts, http_server: FaultServer) -> None:
    http_server.script(str(SOURCE["path"]), b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    failure = await sending.fails("upload", **upload())

    assert failure.verdict is Verdict.AGAIN
    assert all(name.endswith(".part") for name in sending.names())


OPEN_ENDED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf"


async def test_an_answer_whose_end_nothing_marks_is_not_taken_for_whole(
    sending: Attempts, http_server: FaultServer
) -> None:
    http_server.script(str(SOURCE["path"]), OPEN_ENDED)

    failure = await sending.fails("upload", **upload())

    assert (failure.verdict, failure.category) == (Verdict.FINAL, "open_ended")
    assert "/exports/march.csv, which may have been cut" in failure.message
    assert sending.names() == []


async def test_one_whose_end_nothing_marks_is_sent_with_a_note_where_no_more_than_its_size_is_asked_for(
    sending: Attempts, http_server: FaultServer
) -> None:
    http_server.script(str(SOURCE["path"]), OPEN_ENDED)

    result = await sending.do("upload", **upload(verify="size"))

    assert sending.path("in/march.csv").read_bytes() == b"half"
    assert any("may have been cut" in note for note in result.notes)


async def test_an_answer_that_is_no_success_leaves_nothing(sending: Attempts, http_server: FaultServer) -> None:
    http_server.reply(str(SOURCE["path"]), 404, b"no such report")

    failure = await sending.fails("upload", **upload())

    assert failure.verdict is Verdict.FINAL
    assert sending.names() == []


async def test_a_dead_account_of_the_source_is_not_the_servers(sending: Attempts, accounts: Accounts) -> None:
    accounts.dead = True

    failure = await sending.fails("upload", **upload())

    assert (failure.verdict, failure.account) == (Verdict.RECONNECT, "crm-main")
    assert sending.dead == []


async def test_one_that_is_there_with_the_same_content_is_skipped(
    sending: Attempts, http_server: FaultServer, content: bytes
) -> None:
    serve(http_server, content, None)
    sending.path("in").mkdir()
    sending.path("in/march.csv").write_bytes(content)

    result = await sending.do("upload", **upload(overwrite="skip_if_same"))

    assert result.files[0].skipped
    assert sending.names() == ["in/march.csv"]
