"""A live secret is found in every form in which it travels."""

import io
import json
import logging
import traceback
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from html import escape
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from net.redaction import MASK, MAX_SECRETS, MINIMUM_LENGTH, LiveSecrets, RedactingFilter, quiet_transports

SECRET = "canary/4f1c+9a=é!~*&\"'\\"

FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "URL-encoded": lambda value: quote(value, safe=""),
    "URL-encoded but for slashes": quote,
    "URL-encoded in lower case": lambda value: _lower(quote(value, safe="")),
    "form-encoded": quote_plus,
    "form-encoded by a browser": lambda value: quote_plus(value, safe="*").replace("~", "%7E"),
    "URL-encoded by a script": lambda value: quote(value, safe="!'()*"),
    "JSON in ASCII": lambda value: json.dumps(value)[1:-1],
    "JSON in UTF-8": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "JSON with escaped slashes": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "HTML": escape,
    "base64": lambda value: b64encode(value.encode()).decode(),
    "URL-safe base64": lambda value: urlsafe_b64encode(value.encode()).decode(),
    "unpadded base64": lambda value: urlsafe_b64encode(value.encode()).decode().rstrip("="),
}
TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)
SECRETS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=MINIMUM_LENGTH, max_size=60)


def _lower(encoded: str) -> str:
    head, *rest = encoded.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


def knowing(*values: str) -> LiveSecrets:
    secrets = LiveSecrets()
    for value in values:
        secrets.add(value)
    return secrets


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_masked_in_every_form(form: str) -> None:
    encoded = FORMS[form](SECRET)
    assert knowing(SECRET).scrub(f"before {encoded} after") == f"before {MASK} after"


@given(SECRETS, st.sampled_from(list(FORMS)), TEXTS, TEXTS)
@example("000000", "raw", "", "")
def test_a_secret_in_any_form_at_any_place_is_removed(secret: str, form: str, before: str, after: str) -> None:
    encoded = FORMS[form](secret)
    clean = knowing(secret).scrub(f"{before}{encoded}{after}")
    assert encoded not in clean.replace(MASK, "\n") or len(encoded) < MINIMUM_LENGTH


@given(SECRETS.filter(lambda secret: len(secret.encode()) >= 12), TEXTS, TEXTS)
def test_a_secret_within_a_longer_base64_is_removed_but_for_its_edges(secret: str, before: str, after: str) -> None:
    encoded = b64encode(f"{before}:{secret}:{after}".encode()).decode()
    clean = knowing(secret).scrub(f"Basic {encoded}").removeprefix("Basic ")
    pieces = [b64decode(piece[: len(piece) // 4 * 4] + "====") for piece in clean.split(MASK)]
    assert MASK in clean
    assert not any(secret.encode() in piece for piece in pieces)


@pytest.mark.parametrize("length", [6, 7, 8, 15, 16, 17, 40])
@pytest.mark.parametrize("start", range(20))
def test_a_secret_is_found_wherever_it_starts_in_a_long_text(start: int, length: int) -> None:
    secret = "".join(chr(ord("a") + (7 * place) % 26) for place in range(length))
    text = "-" * start + secret + "-" * 300
    assert knowing(secret).scrub(text) == "-" * start + MASK + "-" * 300


def test_every_occurrence_of_every_secret_is_masked() -> None:
    clean = knowing("first-secret", "second-secret").scrub("first-secret second-secret first-secret")
    assert clean == f"{MASK} {MASK} {MASK}"


def test_a_secret_that_holds_another_is_masked_whole() -> None:
    assert knowing("secret-inner", "an-secret-inner-outer").scrub("x an-secret-inner-outer y") == f"x {MASK} y"


def test_text_without_a_secret_comes_back_as_it_is() -> None:
    secrets = knowing(SECRET)
    text, raw = "nothing to see, not even \ud800", b"nothing \xff"
    assert secrets.scrub(text) is text
    assert secrets.scrub_bytes(raw) is raw
    assert LiveSecrets().scrub(text) is text


def test_a_secret_with_lone_surrogates_beside_it_is_masked() -> None:
    assert knowing("canary-secret").scrub("\ud800canary-secret\udfff") == f"\ud800{MASK}\udfff"


@pytest.mark.parametrize("charset", ["utf-8", "latin-1", "cp1252"])
def test_bytes_in_any_charset_like_ascii_are_scrubbed(charset: str) -> None:
    raw = "ü canary-secret é".encode(charset)
    assert knowing("canary-secret").scrub_bytes(raw) == f"ü {MASK} é".encode(charset)


def test_what_is_too_short_to_tell_from_plain_words_is_left() -> None:
    assert knowing("token").scrub("the token") == "the token"


def test_the_newest_secrets_are_kept_and_the_oldest_forgotten() -> None:
    secrets = knowing("the-oldest-secret", *(f"secret-number-{number:05}" for number in range(MAX_SECRETS - 1)))
    secrets.add("the-oldest-secret")  # used again: now it is the newest
    secrets.add("one-secret-too-many")
    text = "the-oldest-secret one-secret-too-many secret-number-00000"
    assert secrets.scrub(text) == f"{MASK} {MASK} secret-number-00000"


def test_the_collection_of_secrets_shows_none() -> None:
    assert repr(knowing(SECRET, "canary-secret")) == "LiveSecrets(2)"


@pytest.fixture
def logged() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter(knowing("canary-secret")))
    logger = logging.getLogger("tests.net.redaction")
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    "arguments",
    [
        ("sent canary-secret",),
        ("sent %s", "canary-secret"),
        ("sent %s", {"token": "canary-secret"}),
        ("sent %(token)s", {"token": "canary-secret"}),
        ("sent %s canary-secret", 1, 2),
        ("sent %s", urlencode({"api_key": "canary-secret"})),
    ],
)
def test_a_log_line_holds_no_secret(logged: tuple[logging.Logger, io.StringIO], arguments: tuple[object, ...]) -> None:
    logger, stream = logged
    logger.warning(*arguments)
    assert stream.getvalue().startswith("sent ")
    assert MASK in stream.getvalue()
    assert "canary" not in stream.getvalue()


def test_a_logged_traceback_holds_no_secret(logged: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = logged
    try:
        raise ValueError("refused canary-secret")
    except ValueError:
        assert "canary-secret" in traceback.format_exc()
        logger.exception("failed")
    assert f"ValueError: refused {MASK}" in stream.getvalue()
    assert "canary" not in stream.getvalue()


@pytest.mark.parametrize("name", ["httpx", "httpx2", "httpcore", "httpcore2", "asyncssh", "hpack", "h2"])
def test_transports_that_print_headers_are_kept_quiet_whatever_the_level(name: str) -> None:
    quiet_transports()
    assert not logging.getLogger(f"{name}.connection").isEnabledFor(logging.INFO)
