"""Runs whose SFTP server presents another key, or refuses their account: they wait for a person and lose nothing."""

import asyncio
import json
import logging
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import asyncssh
import pytest

from auth.host_key_lines import fingerprint
from definitions.loading import load_text
from definitions.refs import CredentialRef
from definitions.run import Decision, Failure
from definitions.sftp import SftpList
from net.sftp import SftpSession
from net.sftp_errors import SftpError
from runtime.account_test import try_account
from runtime.doctor_accounts import account_findings
from runtime.doctor_runs import decision_findings
from runtime.findings import State
from runtime.profiles import bind
from runtime.run_filter import RunFilter
from runtime.runs import NotWaiting, RunFailed
from storage.accounts import ACTIVE, NEEDS_RECONNECT
from tests.fixtures.sftp_runs import ADAPTER, LIMIT, SftpWorld, upload_of
from tests.fixtures.sshd import Sshd
from tests.fixtures.waiting import until

NEW_KEY = Decision(action="trust", who="ann", why="the bank confirmed it by telephone")


def a_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode()


class Desk:
    """Runs that list the server's folder, each through a profile of its own: nothing is known there from before."""

    def __init__(self, world: SftpWorld) -> None:
        self.world = world
        self.tieline = world.tieline
        self._profiles = 0

    async def start(self, **operation: Any) -> str:
        self._profiles += 1
        profile = f"desk-{self._profiles}"
        await bind(self.tieline.stores, profile, ADAPTER, ADAPTER)
        integration = await self.tieline.stores.definitions.integration(ADAPTER)
        credential = CredentialRef(adapter=ADAPTER, profile=profile)
        model = SftpList.model_validate({"type": "sftp.list", **operation})
        return (await self.tieline.runs.start(model, credential, integration)).id

    async def waiting(self, state: str, count: int = 1) -> list[str]:
        """Runs that wait in this state."""
        ids = [await self.start() for _ in range(count)]
        for run_id in ids:
            await until(partial(self.is_, run_id, state), limit=30)
        return ids

    async def done(self, run_id: str) -> None:
        result = await self.tieline.runs.result(run_id, timeout=LIMIT)
        assert result.sftp is not None
        assert result.sftp.success

    async def failure(self, run_id: str) -> Failure:
        _, steps = await self.tieline.runs.show(run_id)
        return next(step.failure for step in reversed(steps) if step.failure is not None)

    async def state(self) -> tuple[str, str | None]:
        account = await self.tieline.stores.accounts.get(ADAPTER)
        return account.state, account.cause

    async def asked(self, run_id: str, times: int) -> bool:
        """Whether a run waits for a decision, for the so many-th time."""
        _, steps = await self.tieline.runs.show(run_id)
        failures = [step for step in steps if step.failure is not None]
        return len(failures) == times and await self.is_(run_id, "waiting_for_decision")

    async def is_(self, run_id: str, state: str) -> bool:
        return (await self.tieline.runs.summary(run_id)).state == state


@pytest.fixture
def desk(sftp_world: SftpWorld) -> Desk:
    return Desk(sftp_world)


@pytest.fixture
async def changed(desk: Desk) -> Desk:
    """The account trusts another key than the server has."""
    await desk.tieline.stores.host_keys.trust(ADAPTER, [a_key()], who="ben", why="to begin with")
    return desk


def told(records: Sequence[logging.LogRecord]) -> list[str]:
    """What kinds of notifications were sent, in order."""
    return [str(vars(record)["kind"]) for record in records if record.name == "runtime.notifiers"]


async def test_a_changed_key_parks_runs_with_both_fingerprints_and_one_decision_resumes_them_all(
    changed: Desk, sshd: Sshd, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    expected = fingerprint((await changed.tieline.stores.host_keys.of(ADAPTER))[0].line)
    decided, other = await changed.waiting("waiting_for_decision", count=2)

    failure = await changed.failure(decided)
    waits = (await changed.tieline.runs.show(decided))[1][-1].what
    assert failure.category == "host_key_changed"
    assert failure.host_key is not None
    assert failure.host_key.presented == fingerprint(sshd.public_key())
    assert failure.host_key.expected == (expected,)
    assert all(each in failure.message for each in (failure.host_key.presented, expected))
    assert await changed.state() == (NEEDS_RECONNECT, "host_key_changed")

    assert waits == "wait 30d, then give up waiting for a decision about the host key"

    await changed.tieline.runs.decide(decided, NEW_KEY)
    await changed.done(decided)
    await changed.done(other)

    [trusted] = await changed.tieline.stores.host_keys.of(ADAPTER)
    assert (trusted.line, trusted.added_by, trusted.why) == (sshd.public_key(), NEW_KEY.who, NEW_KEY.why)
    assert await changed.state() == (ACTIVE, None)
    steps = [step.what for step in (await changed.tieline.runs.show(decided))[1]]
    assert f"decided trust by ann: {NEW_KEY.why}" in steps
    await until(lambda: len(told(caplog.records)) == 2, limit=10)
    assert told(caplog.records) == ["needs_reconnect", "reconnected"]


async def test_a_changed_key_can_be_refused(changed: Desk) -> None:
    [run_id] = await changed.waiting("waiting_for_decision")
    await changed.tieline.runs.decide(run_id, Decision(action="fail", who="ann", why="it is not the bank's"))

    with pytest.raises(RunFailed) as failed:
        await changed.tieline.runs.result(run_id, timeout=LIMIT)
    assert failed.value.failure.category == "host_key_changed"
    assert failed.value.decision is not None
    assert failed.value.decision.why == "it is not the bank's"


async def test_a_key_that_is_not_trusted_stays_so_when_a_run_is_sent_again_or_skipped(changed: Desk) -> None:
    before = await changed.tieline.stores.host_keys.of(ADAPTER)
    retried, skipped = await changed.waiting("waiting_for_decision", count=2)
    await changed.tieline.runs.decide(retried, Decision(action="retry", who="ann", why="they put the old one back"))
    await changed.tieline.runs.decide(skipped, Decision(action="skip", who="ann", why="by hand", value=["a.csv"]))

    result = await changed.tieline.runs.result(skipped, timeout=LIMIT)
    await until(partial(changed.asked, retried, 2), limit=30)

    assert result.sftp is None
    assert result.decision is not None
    assert result.decision.value == ["a.csv"]
    assert await changed.tieline.stores.host_keys.of(ADAPTER) == before


async def test_a_key_that_is_trusted_for_the_account_resumes_the_runs_that_wait(changed: Desk, sshd: Sshd) -> None:
    [run_id] = await changed.waiting("waiting_for_decision")
    await changed.tieline.stores.host_keys.trust(ADAPTER, [sshd.public_key()], who="ben", why="rotation")
    await changed.done(run_id)


async def test_only_a_run_that_waits_with_a_host_key_can_trust_it(desk: Desk) -> None:
    await desk.tieline.stores.accounts.set_secrets(ADAPTER, {"private_key": strange_key()})
    [run_id] = await desk.waiting("waiting_for_reconnect")
    with pytest.raises(NotWaiting, match="does not wait with a host key"):
        await desk.tieline.runs.decide(run_id, NEW_KEY)


async def test_refused_secrets_are_tried_once_and_new_ones_resume_every_run(desk: Desk, sshd: Sshd) -> None:
    await desk.tieline.stores.accounts.set_secrets(ADAPTER, {"private_key": strange_key()})
    before = refusals(sshd)
    [first] = await desk.waiting("waiting_for_reconnect")
    others = await desk.waiting("waiting_for_reconnect", count=2)

    assert (await desk.failure(first)).category in ("auth_refused", "credential_refused")
    assert await desk.state() == (NEEDS_RECONNECT, "credential_refused")
    await until(lambda: refusals(sshd) > before, limit=10)
    assert refusals(sshd) == before + 1, "a server may lock an account that is tried again and again"

    await desk.tieline.stores.accounts.set_secrets(ADAPTER, {"private_key": desk.world.private_key})
    for run_id in (first, *others):
        await desk.done(run_id)


async def test_an_account_that_works_after_all_when_a_person_tries_it_resumes_its_runs(desk: Desk, sshd: Sshd) -> None:
    allowed = sshd.folder / "authorized_keys"
    content = allowed.read_text()
    allowed.write_text("")
    try:
        [run_id] = await desk.waiting("waiting_for_reconnect")
    finally:
        allowed.write_text(content)

    outcome = await try_account(desk.tieline.stores, ADAPTER)
    assert outcome.failure is None
    await desk.done(run_id)


def strange_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode()


def refusals(sshd: Sshd) -> int:
    """Connections of people who were not let in."""
    return len(re.findall(r"Connection (?:closed|reset) by authenticating user", sshd.log))


async def test_the_doctor_tells_of_a_changed_key_and_what_to_do(changed: Desk) -> None:
    await changed.waiting("waiting_for_decision")
    [finding] = [
        each async for each in account_findings(changed.tieline.stores) if each.subject == f"account {ADAPTER}"
    ]
    assert finding.state is State.WRONG
    assert finding.message == "needs reconnect (host_key_changed)"
    assert finding.action is not None
    assert finding.action.startswith(f"tieline accounts host-keys {ADAPTER} --look")
    assert f"then tieline accounts trust-host-key {ADAPTER} KEY --why TEXT" in finding.action


async def test_the_doctor_tells_once_of_all_runs_that_wait_with_a_key_with_what_lets_them_go_on(
    changed: Desk, sshd: Sshd
) -> None:
    runs = await changed.waiting("waiting_for_decision", count=2)
    expected = fingerprint((await changed.tieline.stores.host_keys.of(ADAPTER))[0].line)

    async def both() -> bool:
        """Listed, which is later than that they are so."""
        return {run.id async for run in changed.tieline.runs.list(RunFilter(state="waiting_for_decision"))} >= set(runs)

    await until(both)
    [finding] = [each async for each in decision_findings(changed.tieline.runs) if f" {ADAPTER}, " in each.message]
    keys = f"shows another host key, {fingerprint(sshd.public_key())} (ssh-ed25519), where {expected} is expected"
    assert finding.state is State.WRONG
    assert re.match(rf"\d+ wait with account {ADAPTER}, the longest since .* UTC: {sshd.place}", finding.message)
    assert finding.message.endswith(keys)
    assert finding.action is not None
    assert re.search(
        r"tieline runs decide run-\w+ trust --why TEXT, or fail; trust lets all \d+ of them go on$", finding.action
    )


async def test_a_run_that_waits_for_another_decision_is_no_longer_said_to_wait_with_a_key(changed: Desk) -> None:
    run_id = await changed.start(path="nosuch", on_failure="park")
    await until(partial(changed.is_, run_id, "waiting_for_decision"), limit=30)
    before = (await changed.tieline.runs.summary(run_id)).waiting

    await changed.tieline.runs.decide(run_id, NEW_KEY)
    await until(partial(changed.asked, run_id, 2), limit=30)

    assert before is not None
    assert before.host_key is not None
    assert (await changed.tieline.runs.summary(run_id)).waiting is None


async def test_a_server_whose_key_nobody_checks_is_refused_where_the_operator_did_not_allow_it(desk: Desk) -> None:
    stores = desk.tieline.stores
    integration = await stores.definitions.integration(ADAPTER)
    document = integration.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    document |= {"kind": "integration", "auth": {"type": "sftp", "host_key": "insecure"}}
    await stores.definitions.apply(load_text(json.dumps(document), "bank.yaml"))

    with pytest.raises(RunFailed, match="insecure") as failed:
        await desk.done(await desk.start())
    assert failed.value.failure.category == "no_trust"
    [finding] = [each async for each in account_findings(stores) if each.subject == "sftp"]
    assert finding.message == (
        f"integration {ADAPTER} looks at no host key (accounts {ADAPTER}), so their runs fail: "
        "TIELINE_SFTP_INSECURE is not set"
    )
    trust = f"tieline accounts trust-host-key {ADAPTER} SHA256:… --why TEXT"
    assert finding.action == f"give it auth.host_key: confirm_first, then for each: {trust}"


async def test_a_decision_to_retry_sends_a_file_again_that_is_gone_under_both_names(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was renamed, somebody took it away, and the account was refused before anybody could look."""
    world, renamed = desk.world, asyncio.Event()
    rename = SftpSession.rename

    async def takes_it_away(session: SftpSession, source: str, target: str, *, replace: bool) -> None:
        await rename(session, source, target, replace=replace)
        if not renamed.is_set():
            renamed.set()
            (world.folder / "file.bin").unlink()
            raise SftpError("auth_refused", "not let in any more")

    monkeypatch.setattr(SftpSession, "rename", takes_it_away)
    run_id = (await world.start("upload", **upload_of(await world.keep(b"whole")))).id
    await until(partial(desk.is_, run_id, "waiting_for_reconnect"), limit=30)
    assert (await try_account(desk.tieline.stores, ADAPTER)).failure is None
    await until(partial(desk.is_, run_id, "waiting_for_decision"), limit=30)

    await desk.tieline.runs.decide(run_id, Decision(action="retry", who="ann", why="the partner has lost it"))
    await desk.done(run_id)
    assert world.names() == ["file.bin"]
    assert (world.folder / "file.bin").read_bytes() == b"whole"
