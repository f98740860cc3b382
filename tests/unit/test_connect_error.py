"""What is told when nothing was connected: who was in the way, and what helps."""

from auth.connect_error import Fault, refused
from auth.refusal import Refusal
from auth.token_error import ErrorClass


def test_a_rule_of_our_own_is_not_told_as_the_provider_s_refusal() -> None:
    denied = Refusal(ErrorClass.CONFIGURATION, "egress_denied", detail="127.0.0.1:9201 is not allowed")
    told = refused(Fault.EXCHANGE, "main", denied).told
    assert "Tieline's own rules keep it from reaching the provider" in told
    assert "TIELINE_EGRESS_ALLOW" in told.partition("Next step: ")[2]
    assert "127.0.0.1:9201" in told


def test_a_refusal_of_the_provider_s_is_told_as_that() -> None:
    told = refused(Fault.EXCHANGE, "main", Refusal(ErrorClass.PERMANENT_GRANT, "invalid_grant")).told
    assert told == (
        "account 'main': the provider gave no token for the consent; the account is as it was (invalid_grant). "
        "Next step: tieline accounts connect main"
    )
