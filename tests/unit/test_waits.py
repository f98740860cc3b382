"""What people are told of runs that wait: once for each account, however many runs there are."""

import dataclasses
from datetime import UTC, datetime, timedelta

from cli.runs import _long_under_way, _waiting_for_accounts
from definitions.run import Waiting
from definitions.sftp import HostKeyChange
from runtime.runs import RunSummary
from runtime.waits import waits_of

NOON = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
KEY = HostKeyChange(
    host="sftp.example",
    port=22,
    algorithm="ssh-ed25519",
    public_key="ssh-ed25519 AAAA",
    presented="SHA256:new",
    expected=("SHA256:old",),
)


def run(number: int, account: str | None = None, minute: int = 0, key: HostKeyChange | None = None) -> RunSummary:
    waiting = None
    if account is not None:
        since = NOON + timedelta(minutes=minute)
        next_step = f"tieline runs decide run-{number} trust --why TEXT" if key else f"connect it: {account}"
        waiting = Waiting(account=account, message=f"told {number}", since=since, next_step=next_step, host_key=key)
    state = "waiting_for_decision" if key else "waiting_for_reconnect"
    return RunSummary(
        f"run-{number}", "LIST a/b", state, "a", "dev", "a", "cli", "q", NOON, closed=None, waiting=waiting
    )


def test_runs_of_one_account_wait_together_and_those_that_wait_for_no_account_not_at_all() -> None:
    waits = waits_of([run(1, "bank", 1), run(2), run(3, "shop", 2), run(4, "bank", 0)])

    assert [(wait.account, [each.id for each in wait.runs], wait.since) for wait in waits] == [
        ("bank", ["run-1", "run-4"], NOON),
        ("shop", ["run-3"], NOON + timedelta(minutes=2)),
    ]


def test_runs_that_wait_with_a_host_key_wait_for_something_else_than_those_for_secrets() -> None:
    assert [wait.host_key for wait in waits_of([run(1, "bank"), run(2, "bank", key=KEY)])] == [False, True]


def test_of_two_keys_that_a_server_showed_the_last_one_is_told() -> None:
    [wait] = waits_of([run(1, "bank", 5, replace_key("SHA256:newest")), run(2, "bank", 0, KEY)])

    assert wait.latest.host_key is not None
    assert wait.latest.host_key.presented == "SHA256:newest"
    assert wait.next_step == "tieline runs decide run-1 trust --why TEXT; trust lets all 2 of them go on"


def test_a_list_names_the_account_whose_server_shows_another_key_and_one_command_for_all_of_its_runs() -> None:
    [told] = _waiting_for_accounts([run(1, "bank", 0, KEY), run(2, "bank", 1, KEY)])

    since = f"{NOON.astimezone():%Y-%m-%d %H:%M:%S}"
    assert told == (
        f"\naccount bank: told 2\n2 of these runs wait for that, the longest since {since}. Next step: "
        "tieline runs decide run-2 trust --why TEXT; trust lets all 2 of them go on"
    )


def test_a_list_says_where_to_look_when_runs_have_been_under_way_for_long() -> None:
    running = [dataclasses.replace(run(number), state=state) for number, state in enumerate(["running", "completed"])]

    assert _long_under_way(running, NOON + timedelta(minutes=4)) == []
    assert _long_under_way(running, NOON + timedelta(minutes=6)) == [
        "\n1 of these runs has been under way for more than 5 minutes: tieline doctor tells which are tried again, "
        "and why"
    ]


def replace_key(fingerprint: str) -> HostKeyChange:
    return KEY.model_copy(update={"presented": fingerprint})
