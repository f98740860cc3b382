import importlib

import pytest
from temporalio.service import RPCError, RPCStatusCode

from auth.errors import TokenUnavailable
from cli.errors import SPECIAL, STATUS_OF, CliError, Status, debug_trace, explain
from definitions.run import Actor, Decision, Failure, Verdict
from net.redaction import LIVE_SECRETS
from net.sftp_errors import SftpCode, SftpError
from runtime.runs import RunFailed, RunNotFound


def failure(**changes: object) -> Failure:
    fields = {
        "verdict": Verdict.FINAL,
        "category": "refused",
        "message": "POST crm/leads · dev: answered 422",
        "actor": Actor.USER,
        "suggested_action": "correct the operation",
    }
    return Failure.model_validate(fields | changes)


@pytest.mark.parametrize("name", [*STATUS_OF, *SPECIAL])
def test_every_error_that_has_a_status_exists(name: str) -> None:
    module, _, kind = name.rpartition(".")

    assert issubclass(getattr(importlib.import_module(module), kind), Exception)


def test_an_error_of_our_own_says_its_message_and_status() -> None:
    complaint = explain(CliError("no such thing", Status.BAD_USE, thing="x"))

    assert (complaint.message, complaint.status, complaint.details) == ("no such thing", 2, {"thing": "x"})


def test_a_failed_run_tells_what_happened_who_must_act_and_what_to_do() -> None:
    complaint = explain(RunFailed("run-1", failure(excerpt='{"error": "name is missing"}')))

    assert complaint.status is Status.FAILED
    assert complaint.message.splitlines() == [
        "run run-1 failed: POST crm/leads · dev: answered 422",
        "Who must act: user. Next step: correct the operation",
        'The answer began: {"error": "name is missing"}',
    ]
    assert complaint.details["run"] == "run-1"


def test_a_run_that_somebody_failed_names_them() -> None:
    decision = Decision(action="fail", who="ada", why="entered by hand")

    assert "Decided by ada: entered by hand" in explain(RunFailed("run-1", failure(), decision)).message


def test_a_run_that_does_not_exist_is_bad_use() -> None:
    assert explain(RunNotFound("there is no run x")).status is Status.BAD_USE


def test_a_credential_that_cannot_be_had_comes_with_its_next_step() -> None:
    complaint = explain(TokenUnavailable("account 'a': no token", action="try again later"))

    assert complaint.message == "account 'a': no token\nNext step: try again later"
    assert complaint.status is Status.FAILED


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("connection refused", RPCStatusCode.UNAVAILABLE),
        ("Timeout expired", RPCStatusCode.CANCELLED),
        ("transport error", RPCStatusCode.UNKNOWN),
    ],
)
def test_a_server_that_does_not_answer_is_unreachable(told: str, status: RPCStatusCode) -> None:
    complaint = explain(RPCError(told, status, b""))

    assert complaint.status is Status.UNREACHABLE
    assert complaint.message == f"Temporal does not answer ({status.name.lower()}): is it running? tieline doctor"


def test_a_server_that_fails_for_no_known_reason_has_answered() -> None:
    complaint = explain(RPCError("shard is closed", RPCStatusCode.UNKNOWN, b""))

    assert complaint.status is Status.FAILED
    assert "Temporal refused the request (unknown): shard is closed" in complaint.message


def test_an_address_that_is_closed_comes_with_the_setting_that_opens_it() -> None:
    complaint = explain(SftpError("egress_denied", "127.0.0.1 is closed"))

    assert complaint.status is Status.UNREACHABLE
    assert "TIELINE_EGRESS_ALLOW=HOST:PORT" in complaint.message


@pytest.mark.parametrize(
    ("code", "told"), [("connect_failed", "no answer"), ("egress_denied", "closed; no rule can allow it")]
)
def test_what_no_setting_opens_comes_without_one(code: SftpCode, told: str) -> None:
    assert explain(SftpError(code, told)).message == told


def test_ctrl_c_is_130() -> None:
    assert explain(KeyboardInterrupt()).status == 130


def test_what_nobody_foresaw_is_scrubbed_and_says_how_to_see_more() -> None:
    LIVE_SECRETS.add("xyzzy-unforeseen")

    complaint = explain(ZeroDivisionError("by xyzzy-unforeseen"))

    assert complaint.status is Status.FAILED
    assert complaint.message == (
        "something unforeseen went wrong (ZeroDivisionError): by [redacted]\nTIELINE_DEBUG=1 shows where"
    )


def test_a_traceback_is_shown_only_when_asked_for_and_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    LIVE_SECRETS.add("xyzzy-traced")
    error = ValueError("xyzzy-traced")
    monkeypatch.delenv("TIELINE_DEBUG", raising=False)
    assert debug_trace(error) is None

    monkeypatch.setenv("TIELINE_DEBUG", "1")
    assert debug_trace(error) == "ValueError: [redacted]\n"
