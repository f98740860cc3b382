"""Files on SFTP servers as bodies of HTTP requests: what servers that fail mean for the call."""

import asyncio
import time

import asyncssh
import pytest

from activities.http import HttpActivities
from activities.parking import CallFailed
from activities.sftp_files import SftpFiles
from activities.sftp_judge import PATIENCE
from activities.streams import SourceFailed
from auth.credential import Credential
from definitions.integration import Integration
from definitions.operation import Delivery, HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Call, Failure, Verdict
from net.client import GuardedClient
from net.sftp_errors import SftpError
from storage.waiters import Waiter
from tests.fixtures.faulty_sftp import FaultySftp
from tests.fixtures.http import FaultServer
from tests.fixtures.sftp_attempts import Attempts
from tests.fixtures.sftp_runs import aged

BANK = CredentialRef(adapter="bank", profile="production")
CONTENT = b"0123456789abcdef" * 40_000


class Api:
    """The account of the HTTP server on this machine."""

    def __init__(self, server: FaultServer) -> None:
        self._server = server

    async def resolve(self, ref: CredentialRef) -> Credential:
        definition = {"key": "api", "name": "API", "base_url": self._server.url, "auth": {"type": "none"}}
        return Credential("id", "main", Integration.model_validate({"kind": "integration", **definition}))

    async def renew(self, credential: Credential) -> Credential:
        return credential

    async def park(self, waiter: Waiter) -> bool:
        raise AssertionError("no account is dead")


async def failure_of_sending(
    troubled: Attempts,
    http: GuardedClient,
    server: FaultServer,
    delivery: Delivery = Delivery.UNSAFE,
    attempt: int = 1,
) -> Failure:
    body = {"type": "sftp", "adapter": "bank", "path": "a"}
    operation = HttpOperation.model_validate(
        {"method": "POST", "path": "/in", "body": body, "timeout": "1s", "stall_after": "1s"}
    )
    call = Call(operation=operation, credential=BANK, delivery=delivery, idempotency_key="k")
    api = Api(server)
    with pytest.raises(CallFailed) as failed:
        await HttpActivities(api, api, http, files=SftpFiles(troubled, troubled)).make(call, attempt)
    return failed.value.failure


@pytest.mark.parametrize(("hangs", "category"), [("stat", "stalled"), ("open", "not_sent")])
async def test_a_server_that_hangs_before_a_file_is_read_costs_no_request_and_no_decision(
    troubled: Attempts,
    faulty: FaultySftp,
    http_client: GuardedClient,
    http_server: FaultServer,
    hangs: str,
    category: str,
) -> None:
    troubled.path("a").write_bytes(CONTENT)
    faulty.stall_in = {hangs}
    began = time.monotonic()

    failure = await failure_of_sending(troubled, http_client, http_server)

    assert (failure.verdict, failure.category) == (Verdict.AGAIN, category)
    assert http_server.received == []
    assert time.monotonic() - began < 20


async def test_a_file_that_is_read_is_not_cut_by_the_stall_of_another_operation(
    troubled: Attempts, faulty: FaultySftp
) -> None:
    troubled.path("a").write_bytes(CONTENT)
    faulty.one_by_one, faulty.stall_in = False, {"rename"}

    async def stalls() -> None:
        async with troubled.connections.session(troubled.server) as other, other.watch(1, 30):
            await other.rename("/files/a", "/files/b", replace=True)

    read = 0
    async with SftpFiles(troubled, troubled).open(BANK, "a") as opened:
        stalling = asyncio.create_task(stalls())
        while not stalling.done():
            read += len(b"".join([chunk async for chunk in opened.open()]))
        read += len(b"".join([chunk async for chunk in opened.open()]))

    with pytest.raises(SftpError, match="has not answered"):
        stalling.result()
    assert read > 0
    assert read % len(CONTENT) == 0


@pytest.mark.parametrize(("attempt", "verdict"), [(PATIENCE - 1, Verdict.AGAIN), (PATIENCE, Verdict.FINAL)])
async def test_a_server_that_gives_no_reason_is_believed_after_some_attempts(
    troubled: Attempts,
    faulty: FaultySftp,
    http_client: GuardedClient,
    http_server: FaultServer,
    attempt: int,
    verdict: Verdict,
) -> None:
    troubled.path("a").write_bytes(CONTENT)
    faulty.refuse["stat"] = asyncssh.SFTPFailure("no")

    failure = await failure_of_sending(troubled, http_client, http_server, Delivery.KEYED, attempt)

    assert (failure.verdict, failure.category) == (verdict, "failure")


async def test_a_file_that_changes_while_it_is_read_is_not_given_out_whole(troubled: Attempts) -> None:
    """Its length stays, in which nothing would be seen: so the last piece is missing."""
    troubled.path("a").write_bytes(CONTENT)
    aged(troubled.path("a"))
    given: list[bytes] = []

    async def read() -> None:
        async with SftpFiles(troubled, troubled).open(BANK, "a") as opened:
            async for chunk in opened.open():
                given.append(chunk)
                troubled.path("a").write_bytes(CONTENT[::-1])

    with pytest.raises(SourceFailed) as raised:
        await read()

    assert (raised.value.failure.verdict, raised.value.failure.category) == (Verdict.AGAIN, "source_changed")
    assert 0 < len(b"".join(given)) < len(CONTENT)
