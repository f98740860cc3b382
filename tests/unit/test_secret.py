import copy
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Callable

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import to_json

from auth.secret import Secret, SecretError, check_secret

VALUE = "planted-4f1c9a"


@dataclasses.dataclass
class Holder:
    account: str
    secret: Secret


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        format,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r:>40}",
        lambda secret: f"{secret:>40}",
        lambda secret: "%s" % secret,  # noqa: UP031 (logging does it like this)
        lambda secret: str([secret]),
        lambda secret: str({"password": secret}),
        lambda secret: repr(Holder("crm", secret)),
        lambda secret: str(ValueError(secret)),
        lambda secret: str(dir(secret)),
    ],
)
def test_a_secret_is_shown_by_nothing(show: Callable[[Secret], str]) -> None:
    assert VALUE not in show(Secret(VALUE))


@pytest.mark.parametrize(
    "serialise",
    [
        *[lambda secret, protocol=protocol: pickle.dumps(secret, protocol) for protocol in range(6)],
        copy.copy,
        copy.deepcopy,
        lambda secret: dataclasses.asdict(Holder("crm", secret)),
        json.dumps,
        lambda secret: json.dumps(secret, default=vars),
        orjson.dumps,
        to_json,
        vars,
    ],
)
def test_a_secret_is_serialised_and_copied_by_nothing(serialise: Callable[[Secret], object]) -> None:
    with pytest.raises(Exception) as caught:
        serialise(Secret(VALUE))
    assert VALUE not in repr(caught.value)


def test_a_logged_secret_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("saved %s of %r", Secret(VALUE), [Secret(VALUE)])

    assert "saved" in caplog.text
    assert VALUE not in caplog.text


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret(VALUE + "x")
    assert Secret(VALUE) != VALUE
    assert len({Secret(VALUE), Secret(VALUE)}) == 1


def test_secrets_that_are_not_text_can_be_compared_without_an_error() -> None:
    """Python's own error of encoding holds the whole text."""
    assert Secret(f"{VALUE}\udcff") != Secret(VALUE)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        (f"{VALUE}\n", "ends with a line break: write it without"),
        (f"{VALUE}\r\n", "ends with a line break"),
        (f" {VALUE}", "begins or ends with white space"),
        (f"{VALUE}\t", "begins or ends with white space"),
        (f"{VALUE}\u00a0", "begins or ends with white space"),
        (f"{VALUE[:4]}\0{VALUE}", "holds a NUL character"),
        (f"{VALUE}\r\nX-Injected: {VALUE}", "holds a line break or another control character"),
        (f"{VALUE}\x1b[0m", "holds a line break or another control character"),
        (f"{VALUE}\x7f", "holds a line break or another control character"),
        (f"{VALUE}é", "holds a character outside ASCII"),
        (f"“{VALUE}”", "holds a character outside ASCII"),
        (f"{VALUE}\udcff", "not text"),
    ],
)
def test_a_fault_is_told_by_field_and_kind_and_never_by_value(value: str, fault: str) -> None:
    with pytest.raises(SecretError) as caught:
        check_secret("token", value)

    assert str(caught.value).startswith("secret 'token' ")
    assert fault in str(caught.value)
    assert VALUE not in repr(caught.value)


def test_a_key_or_certificate_may_have_lines() -> None:
    pem = f"-----BEGIN PRIVATE KEY-----\r\n{VALUE}\n-----END PRIVATE KEY-----\n"

    assert check_secret("private_key", pem, multi_line=True) == pem


@pytest.mark.parametrize(("value", "fault"), [("\n", "empty"), (f"{VALUE}\0", "NUL"), (f"{VALUE}\udcff", "not text")])
def test_a_key_with_lines_is_checked_too(value: str, fault: str) -> None:
    with pytest.raises(SecretError, match=f"'private_key' .*{fault}") as caught:
        check_secret("private_key", value, multi_line=True)
    assert VALUE not in repr(caught.value)


@given(before=st.text(max_size=5), after=st.text(max_size=5), multi_line=st.booleans())
@example(before="", after="\n", multi_line=False)
@example(before="\udc80", after="", multi_line=True)
def test_whatever_stands_around_it_a_value_can_be_stored_or_is_refused_unseen(
    before: str, after: str, multi_line: bool
) -> None:
    value, told = f"{before}{VALUE}{after}", ""
    try:
        check_secret("token", value, multi_line=multi_line).encode()
    except SecretError as error:
        told = "".join(traceback.format_exception(error))
    assert VALUE not in told
