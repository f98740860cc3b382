"""Templates put values where placeholders stand, and evaluate nothing."""

import base64
import hashlib
import hmac
import json
import string
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from definitions.templates import FILTER_NAMES, MAX_LENGTH, Environment, Template, TemplateError

AROUND = Environment(now=lambda: datetime(2026, 1, 31, 12, 30, tzinfo=UTC), uuid=lambda: "11111111-2222")

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True).filter(lambda name: name not in ("now", "uuid"))


def render(text: str, **values: str) -> str:
    return Template.parse(text).render(values, environment=AROUND)


def fault(text: str, **values: str) -> str:
    with pytest.raises(TemplateError) as caught:
        render(text, **values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("Bearer {token}", "Bearer tök n"),
        ("{token}{token}", "tök ntök n"),
        ("{ token }", "tök n"),
        ("{{token}}", "{token}"),
        ("{{{token}}}", "{tök n}"),
        ('{{"a": "{token}"}}', '{"a": "tök n"}'),
        ("{token|base64}", base64.b64encode("tök n".encode()).decode()),
        ("{token|urlencode}", "t%C3%B6k%20n"),
        ("{token|json}", '"t\\u00f6k n"'),
        ("{upper|lower}", "abc"),
        ("{ upper | lower() | base64 }", "YWJj"),
        ("{token|sha256}", hashlib.sha256("tök n".encode()).hexdigest()),
        ("{token|hmac_sha256(key)}", hmac.new(b"secret", "tök n".encode(), "sha256").hexdigest()),
        ('{token|default("x")}', "tök n"),
        ('{empty|default("x")}', "x"),
        ('{missing|default("x")}', "x"),
        ('{missing|default("")}', ""),
        ('{missing|default("X")|lower}', "x"),
        ('{missing|lower|default("X")}', "X"),
        ('{missing|hmac_sha256(key)|default("none")}', "none"),
        ('{missing|default("a|b}c{{")}', "a|b}c{{"),
        ("{now}", "2026-01-31T12:30:00Z"),
        ('{now("unix")}', "1769862600"),
        ('{now("%Y%m%d")}', "20260131"),
        ("{uuid}", "11111111-2222"),
        ("{uuid|sha256}", hashlib.sha256(b"11111111-2222").hexdigest()),
    ],
)
def test_a_template_renders(text: str, expected: str) -> None:
    assert render(text, token="tök n", upper="ABC", empty="", key="secret") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{token", "a { without its }; write {{ for a literal brace"),
        ('{token|default("x)}', "a { without its }; write {{ for a literal brace"),
        ("token}", "a } without its {; write }} for a literal brace"),
        ("{}", "no placeholder between { and }: write {name} or {name|filter}; {{ is a literal brace"),
        ("{to ken}", "no placeholder between { and }: write {name}"),
        ("{1token}", "no placeholder between { and }: write {name}"),
        ("{token|}", "no placeholder between { and }: write {name}"),
        ("{token.secret}", "no placeholder between { and }: write {name}"),
        ("{token[0]}", "no placeholder between { and }: write {name}"),
        ("{token!r}", "no placeholder between { and }: write {name}"),
        ("{token:>10}", "no placeholder between { and }: write {name}"),
        ("{token|default('x')}", "no placeholder between { and }: write {name}"),
        ("{{token}", "a } without its {; write }} for a literal brace"),
        ("{token|bas64}", "unknown filter bas64; did you mean base64?"),
        ("{token|eval}", "unknown filter eval"),
        ("{token|lower|upper}", "unknown filter upper"),
        ("{token|default}", 'default needs a text: {name|default("text")}'),
        ("{token|default(other)}", 'default needs a text: {name|default("text")}'),
        ("{token|hmac_sha256}", "hmac_sha256 needs the name of a secret: {name|hmac_sha256(secret)}"),
        ('{token|hmac_sha256("x")}', "hmac_sha256 needs the name of a secret: {name|hmac_sha256(secret)}"),
        ('{token|base64("x")}', "filter base64 takes no argument"),
        ("{token|lower(x)}", "filter lower takes no argument"),
        ('{token("x")}', '{token}: only now takes an argument, as in {now("unix")}'),
        ("{uuid(x)}", '{uuid}: only now takes an argument, as in {now("unix")}'),
        ("{now(x)}", '{now}: only now takes an argument, as in {now("unix")}'),
        ("{tokn}", "nothing fills placeholder {tokn}; did you mean {token}?"),
        ("{xyz|base64}", "nothing fills placeholder {xyz}"),
        ("{token|hmac_sha256(tokn)}", "nothing fills 'tokn'; did you mean {token}?"),
        ("x" * (MAX_LENGTH + 1), f"a template may have {MAX_LENGTH} characters, this one has {MAX_LENGTH + 1}"),
    ],
)
def test_a_template_that_cannot_be_read_or_filled_says_why(text: str, message: str) -> None:
    assert fault(text, token="t").startswith(message)


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("plain {{a}}", set()),
        ("{a}-{b|lower}", {"a", "b"}),
        ("{a|hmac_sha256(key)}", {"a", "key"}),
        ("{now}{uuid|sha256}", set()),
        ("{uuid|hmac_sha256(key)}", {"key"}),
    ],
)
def test_a_template_knows_the_names_that_it_needs(text: str, needed: set[str]) -> None:
    assert Template.parse(text).names == needed


def test_every_filter_that_is_offered_is_one_that_is_taken() -> None:
    arguments = {"default": '("x")', "hmac_sha256": "(key)"}

    parsed = [Template.parse(f"{{a|{name}{arguments.get(name, '')}}}").names for name in FILTER_NAMES]

    assert all("a" in names for names in parsed)


@pytest.mark.parametrize("inner", ["|" * 16_000, '|"' * 8_000, "a|" + '"' * 16_000, "(" * 16_000, "a" * 16_000 + "!"])
def test_no_template_takes_long_to_refuse(inner: str) -> None:
    started = datetime.now(UTC)

    fault("{" + inner + "}")

    assert (datetime.now(UTC) - started).total_seconds() < 0.5


def test_each_rendering_has_a_time_and_an_identifier_of_its_own() -> None:
    first, second = (Template.parse("{uuid} {now}").render({}) for _ in range(2))

    assert first != second
    assert len(first.split()[0]) == 36


@given(value=st.text())
def test_a_value_arrives_as_it_is_whatever_it_looks_like(value: str) -> None:
    assert render("a{x}b", x=value) == f"a{value}b"


@given(value=st.text(alphabet="{}|\"'()x y$%.", max_size=30))
def test_what_stands_in_a_value_is_never_taken_for_a_placeholder(value: str) -> None:
    assert render("{x}{y}", x=value, y="y", z="z") == f"{value}y"


@given(text=st.text(alphabet='{}|"()abc ,.!:[]', max_size=40), value=st.text(max_size=10))
def test_rendering_never_does_more_than_joining_text_and_filtered_values(text: str, value: str) -> None:
    try:
        template = Template.parse(text)
        rendered = template.render(dict.fromkeys("abc", value))
    except TemplateError:
        return
    literal = "".join(part for part in template.parts if isinstance(part, str))
    assert set(literal) <= set(text)
    assert len(rendered) <= len(literal) + (len(value) + len(text)) * len(template.parts)


@given(text=st.text(alphabet=string.printable, max_size=60))
def test_doubled_braces_stand_for_any_text(text: str) -> None:
    assert render(text.replace("{", "{{").replace("}", "}}")) == text


@given(name=names, value=st.text())
def test_filters_can_be_read_back(name: str, value: str) -> None:
    values = {name: value}

    assert base64.b64decode(Template.parse(f"{{{name}|base64}}").render(values)).decode() == value
    assert unquote(Template.parse(f"{{{name}|urlencode}}").render(values)) == value
    assert json.loads(Template.parse(f"{{{name}|json}}").render(values)) == value


@given(value=st.text(), filter_=st.sampled_from(["base64", "urlencode", "json", "sha256", "hmac_sha256(key)"]))
def test_what_these_filters_make_is_one_line_of_ascii(value: str, filter_: str) -> None:
    filtered = render(f"{{x|{filter_}}}", x=value, key="k")

    assert filtered.isascii()
    assert not set(filtered) & set("\r\n\0")


@given(value=st.text())
def test_an_encoding_is_applied_to_values_and_not_to_the_text_around_them(value: str) -> None:
    assert Template.parse("a b{x}c d").render({"x": value}, encode=lambda text: f"<{text}>") == f"a b<{value}>c d"


@given(name=names)
def test_a_message_names_the_placeholder_and_no_value(name: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(f"{{{name}_}}").render({name: "hunter2-value"})

    assert f"{{{name}_}}" in str(caught.value)
    assert "hunter2" not in str(caught.value)
