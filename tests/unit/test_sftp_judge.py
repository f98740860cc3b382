"""What each failure of SFTP means for its run."""

from typing import get_args

import pytest

from activities.sftp_judge import _TABLE, PATIENCE, Refused, failure_of_error, judge
from definitions.refs import CredentialRef
from definitions.run import Actor, SftpCall, Verdict
from definitions.sftp import HostKeyChange, SftpStat
from net.redaction import LIVE_SECRETS
from net.sftp_errors import SftpCode, SftpError
from runtime.account_login import next_step

CALL = SftpCall(
    operation=SftpStat(type="sftp.stat", path="in/{customer}"),
    credential=CredentialRef(adapter="bank", profile="production"),
    idempotency_key="key",
)


@pytest.mark.parametrize("code", get_args(SftpCode))
def test_every_code_of_the_network_has_a_place_in_the_table(code: str) -> None:
    assert code in _TABLE


@pytest.mark.parametrize("code", ["dns_failed", "connect_failed", "connection_lost", "stalled", "timeout"])
def test_a_line_that_breaks_is_tried_again(code: str) -> None:
    assert judge(code).verdict is Verdict.AGAIN


@pytest.mark.parametrize("code", ["permission_denied", "no_space"])
def test_a_server_that_refuses_is_for_its_owner_to_mend(code: str) -> None:
    judged = judge(code)

    assert (judged.verdict, judged.actor) == (Verdict.FINAL, Actor.PROVIDER)


@pytest.mark.parametrize("code", ["auth_refused", "host_key_changed", "host_key_unknown", "bad_key"])
def test_what_a_person_must_mend_about_the_account_makes_the_run_wait(code: str) -> None:
    assert judge(code).verdict is Verdict.RECONNECT


def test_no_trust_is_a_fault_of_the_configuration_and_is_not_tried_again() -> None:
    assert judge("no_trust").verdict is Verdict.FINAL


@pytest.mark.parametrize("code", ["failure", "protocol_error"])
def test_what_may_pass_and_may_not_is_believed_after_some_attempts(code: str) -> None:
    assert judge(code, PATIENCE - 1).verdict is Verdict.AGAIN
    assert judge(code, PATIENCE).verdict is Verdict.FINAL


def test_a_failure_names_the_operation_and_the_account_and_carries_the_key() -> None:
    key = HostKeyChange(
        host="h", port=22, algorithm="ssh-ed25519", public_key="ssh-ed25519 AAAA", presented="SHA256:a", expected=()
    )

    failure = failure_of_error(CALL, SftpError("host_key_changed", "another key", keys=key), "bank-main", 1)

    assert failure.message == "STAT bank/in/{customer} · production: another key"
    assert (failure.account, failure.host_key) == ("bank-main", key)


def test_a_login_that_is_refused_is_called_as_in_other_protocols() -> None:
    failure = failure_of_error(CALL, SftpError("auth_refused", "no"), "bank-main", 1)

    assert failure.category == "credential_refused"
    assert "tieline accounts set-secrets bank-main" in failure.suggested_action


def test_what_is_not_there_is_looked_for_by_a_command_that_can_be_typed() -> None:
    action = failure_of_error(CALL, SftpError("not_found", "no"), "bank-main", 1).suggested_action

    assert "tieline sftp ls bank --profile production, or sftp.list" in action
    assert "if the root folder itself is missing, correct it in the parameters of account bank-main" in action


def test_an_account_whose_root_is_not_there_is_mended_in_the_account() -> None:
    failure = failure_of_error(CALL, SftpError("not_found", "no"), "bank-main", 1)

    assert next_step("bank-main", failure).startswith("correct the root folder, which must be there: in account bank-")


def test_a_live_secret_is_not_in_the_message() -> None:
    LIVE_SECRETS.add("correct-horse-battery")

    failure = failure_of_error(CALL, Refused("bad_path", "a correct-horse-battery b"), "bank-main", 1)

    assert "correct-horse" not in failure.message
