"""Every fault of a definition is told with file, line, path and what was probably meant."""

from pathlib import Path
from textwrap import dedent

import pytest

from definitions.loading import load_paths, load_text
from definitions.problems import DefinitionErrors, Problem

API_TOKEN = """\
kind: integration
key: crm
name: CRM
base_url: https://crm.example
auth:
  type: api_token
  place:
    - {in: header, name: X-Key, value: "{token}"}
"""
CUSTOM_TOKEN = """\
kind: integration
key: crm
name: CRM
base_url: https://crm.example
auth:
  type: custom_token
  secrets: {password: {}}
  requests:
    - endpoint: https://crm.example/login
      body: {values: {password: "{password}"}}
      capture: {token: token}
"""
PROFILE = """\
kind: profile
name: dev
adapters:
  social: twitter-dev
"""


def problems(text: str) -> list[Problem]:
    with pytest.raises(DefinitionErrors) as caught:
        load_text(dedent(text), "crm.yaml")
    return list(caught.value.problems)


def told(text: str) -> str:
    [problem] = problems(text)
    return str(problem)


def test_the_definitions_that_the_faults_are_put_into_are_sound() -> None:
    assert len(load_text(f"{API_TOKEN}---\n{CUSTOM_TOKEN.replace('key: crm', 'key: bank')}---\n{PROFILE}", "x")) == 3


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("base_url", "base_ulr", "base_ulr (crm.yaml:4): unknown key; did you mean base_url?"),
        ("  place:", "  plase:", "auth.plase (crm.yaml:7): unknown key; did you mean place?"),
        (', value: "', ', valeu: "', "auth.place[0].valeu (crm.yaml:8): unknown key; did you mean value?"),
        ("{token}", "{tokn}", "auth.place[0].value (crm.yaml:8): unknown placeholder {tokn}; did you mean {token}?"),
        ("{token}", "{xyz}", "auth.place[0].value (crm.yaml:8): unknown placeholder {xyz}"),
        ("{token}", "{token|bas64}", "auth.place[0].value (crm.yaml:8): unknown filter bas64; did you mean base64?"),
        ("{token}", "{token", "auth.place[0].value (crm.yaml:8): a { without its }; write {{ for a literal brace"),
        (
            "in: header",
            "in: heder",
            "auth.place[0].in (crm.yaml:8): expected 'header', 'url_parameter', 'body', 'path'",
        ),
        ("name: X-Key", "name: X Key", "auth.place[0].name (crm.yaml:8): the name must be letters, digits and -_.!#"),
        ("type: api_token", "type: api_tokn", "auth.type (crm.yaml:6): expected one of 'oauth2', 'api_token', 'basic'"),
        ("  type: api_token\n", "", "auth.type (crm.yaml:5): is missing: it says which kind of thing this is"),
        ("name: CRM\n", "", "name (crm.yaml:1): is missing"),
        ("name: CRM", "name: 5", "name (crm.yaml:3): expected text: put it in quotation marks"),
        ("name: CRM", "name: no", "name (crm.yaml:3): expected text: put it in quotation marks"),
        ("https://crm.example", "crm.example", "base_url (crm.yaml:4): expected an address that begins with https://"),
        (
            "https://crm.example",
            "ftp://crm.example",
            "base_url (crm.yaml:4): expected an address that begins with https",
        ),
        ("https://crm.example", "https://a@b", "base_url (crm.yaml:4): expected an address that begins with https"),
        ("https://crm.example", "https://crm.example/?a=b", "base_url (crm.yaml:4): may not have a query"),
        ("https://crm.example", "https://crm.example/#a", "base_url (crm.yaml:4): an address may not contain #"),
        ("https://crm.example", "https://{token}.example", "base_url (crm.yaml:4): unknown placeholder {token}"),
    ],
)
def test_a_fault_names_its_file_line_path_and_the_next_step(written: str, instead: str, message: str) -> None:
    assert message in "\n".join(map(str, problems(API_TOKEN.replace(written, instead))))


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (
            "parameters: {region: {}}",
            "parameters.region (crm.yaml:9): no input of the integration reads this parameter",
        ),
        ("secrets: {second: {}}", "secrets.second (crm.yaml:9): no input of the integration reads this secret"),
        ("parameters: {a-b: {}}", "parameters.a-b (crm.yaml:9): a name is made of letters, digits and _"),
        ("parameters: {token: {}}", "parameters.token (crm.yaml:9): token already has a meaning here"),
        ("parameters: {uuid: {}}", "parameters.uuid (crm.yaml:9): uuid already has a meaning here"),
        (
            "send: {headers: {X: '{a}'}}\nparameters: {a: {}}\nsecrets: {a: {}}",
            "parameters.a (crm.yaml:10): is a secret",
        ),
        ("parameters: {a: {pattern: '('}}", "parameters.a.pattern (crm.yaml:9): not a regular expression: missing )"),
        ("parameters: {a: {pattern: /x/}}", "parameters.a.pattern (crm.yaml:9): a pattern is written without / around"),
        (
            "parameters: {a: {pattern: 'a{9999999999999}'}}",
            "parameters.a.pattern (crm.yaml:9): not a regular expression: its repetitions or groups are too many",
        ),
        (
            "send: {query: {a: '{a}'}}\nparameters: {a: {pattern: '[0-9]+', default: x}}",
            "parameters.a.default (crm.yaml:10): does not match the parameter's own pattern",
        ),
        ("hosts: ['https://x.example']", "hosts[0] (crm.yaml:9): expected the name of a host"),
        ("hosts: ['*']", "hosts[0] (crm.yaml:9): expected the name of a host"),
        ("hosts: x.example", "hosts (crm.yaml:9): expected a list"),
        ("ports: [http]", "ports[0] (crm.yaml:9): expected a whole number"),
        ("ports: [70000]", "ports[0] (crm.yaml:9): expected less than or equal to 65535"),
        ("unauthorized: [4010]", "unauthorized[0] (crm.yaml:9): expected less than or equal to 599"),
        ("send: {headers: {'X Y': a}}", "send.headers.X Y (crm.yaml:9): the name must be letters, digits and"),
        ("send: {headers: {X: 1}}", "send.headers.X (crm.yaml:9): expected text: put it in quotation marks"),
        ("send: x", "send (crm.yaml:9): expected keys with values"),
        ("idempotency: {header: 'a b'}", "idempotency.header (crm.yaml:9): the name must be letters, digits and"),
        ("test: {method: DELETE, path: x}", "test.method (crm.yaml:9): expected 'GET', 'HEAD', 'POST' or 'OPTIONS'"),
        (
            "test: {path: x, success: [2x]}",
            "test.success[0] (crm.yaml:9): expected a status pattern: 2xx, 404 or 200-204",
        ),
        ("test: {path: x, success: []}", "test.success (crm.yaml:9): expected at least one status pattern"),
        ("test:\n  path: x\n  query:\n    a: b\n    c: 5", "test.query.c (crm.yaml:13): expected text: put it in"),
        ("test: {path: '{tokn}'}", "test.path (crm.yaml:9): unknown placeholder {tokn}"),
        ("test: {path: '{token}'}", "test.path (crm.yaml:9): unknown placeholder {token}"),
        ("test: {path: x, query: {a: '{b}'}}", "test.query.a (crm.yaml:9): unknown placeholder {b}"),
        (
            "tls: {client_certificate_secret: cert}\nsecrets: {cert: {}}",
            "tls (crm.yaml:9): a client certificate needs both client_certificate_secret and client_key_secret",
        ),
        (
            "tls:\n  client_certificate_secret: cert\n  client_key_secret: kye\nsecrets: {cert: {}, key: {}}",
            "tls.client_key_secret (crm.yaml:11): secrets declares no kye; did you mean key?",
        ),
        (
            "tls: {ca_secret: autority}\nsecrets: {authority: {}}",
            "tls.ca_secret (crm.yaml:9): secrets declares no autority; did you mean authority?",
        ),
        (
            "tls: {ca: PEM, ca_secret: authority}\nsecrets: {authority: {}}",
            "tls.ca_secret (crm.yaml:9): stands in place of ca: leave one of them out",
        ),
    ],
)
def test_a_fault_beside_the_authentication_is_found(added: str, message: str) -> None:
    assert message in "\n".join(map(str, problems(f"{API_TOKEN}{added}\n")))


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("{token: token}", "{tokn: token}", "auth (crm.yaml:5): the last of requests must capture token"),
        ('"{password}"', "x", "auth.secrets.password (crm.yaml:7): no input of the integration reads this secret"),
        ('"{password}"', '["{", "{password}"]', "auth.requests[0].body.values.password[0] (crm.yaml:10): a { without"),
        (
            '"{password}"',
            '"{pasword}"',
            "auth.requests[0].body.values.password (crm.yaml:10): unknown placeholder {pasw",
        ),
        ("{token: token}", "{token: token, x: y}", "auth.requests[0].capture.x (crm.yaml:11): nothing reads this"),
        ("{token: token}", "{token: token, password: y}", "auth.requests[0].capture.password (crm.yaml:11): password"),
        ("{token: token}", "{token: 'a['}", "auth.requests[0].capture.token (crm.yaml:11): not a JMESPath expression"),
        (
            "{token: token}",
            "{token: a, b-c: d}",
            "auth.requests[0].capture.b-c (crm.yaml:11): a name is made of letters",
        ),
        (
            "crm.example/login",
            "{password}.example",
            "auth.requests[0].endpoint (crm.yaml:9): {password} is a secret, and",
        ),
        (
            "https://crm.example/login",
            "/login",
            "auth.requests[0].endpoint (crm.yaml:9): expected an address that begins",
        ),
        ("secrets: {password: {}}", "secrets: {}", "auth.secrets (crm.yaml:7): "),
        (
            "  requests:",
            "  lifetime: -5\n  requests:",
            "auth.lifetime (crm.yaml:8): must be longer than zero",
        ),
        (
            "  requests:",
            "  lifetime: 5 s\n  requests:",
            "auth.lifetime (crm.yaml:8): expected a duration such as 30s, 5m",
        ),
        ("  requests:", "  lifetime: 0\n  requests:", "auth.lifetime (crm.yaml:8): must be longer than zero"),
        (
            "  requests:",
            "  lifetime: 99999999999d\n  requests:",
            "auth.lifetime (crm.yaml:8): must be 10 years at most",
        ),
    ],
)
def test_a_fault_in_a_chain_of_token_requests_is_found(written: str, instead: str, message: str) -> None:
    assert message in "\n".join(map(str, problems(CUSTOM_TOKEN.replace(written, instead))))


def test_a_value_is_known_only_to_the_requests_behind_the_one_that_captures_it() -> None:
    backwards = CUSTOM_TOKEN.replace(
        "    - endpoint",
        '    - {endpoint: "https://crm.example/{session}", capture: {session: id}}\n    - endpoint',
    )

    assert "auth.requests[0].endpoint (crm.yaml:9): unknown placeholder {session}" in told(backwards)


def test_what_a_renewal_captures_must_be_read_too() -> None:
    renewing = CUSTOM_TOKEN.replace("{token: token}", "{token: token, refresh_token: r}") + (
        '  refresh: {endpoint: "https://crm.example/r?t={refresh_token}", capture: {token: t, other: o}}\n'
    )

    assert told(renewing).endswith("auth.refresh.capture.other (crm.yaml:12): nothing reads this captured value")


@pytest.mark.parametrize("field", ["base_url", "endpoint"])
def test_a_parameter_that_makes_a_host_needs_a_pattern(field: str) -> None:
    text = CUSTOM_TOKEN + "parameters: {server: {}}\n"
    places = {"base_url": "base_url: https://crm.example", "endpoint": "endpoint: https://crm.example"}
    text = text.replace(places[field], places[field].replace("https://crm.example", '"https://{server}:8443"', 1))
    text = text.replace(':8443"/login', '/login"')

    assert "parameters.server (crm.yaml:12): stands in the host of" in told(text)
    assert "so it needs a pattern" in told(text)


@pytest.mark.parametrize("server", ['"https://x.{server}.example/a"', '"https://{server|default("a/b?c")}/a"'])
def test_the_host_is_found_whatever_stands_in_braces(server: str) -> None:
    quoted = f"'{server[1:-1]}'"
    text = API_TOKEN.replace("https://crm.example", quoted) + "parameters: {server: {}}\n"

    assert "stands in the host of base_url, so it needs a pattern" in told(text)


def test_a_parameter_behind_the_host_needs_no_pattern() -> None:
    text = API_TOKEN.replace("https://crm.example", '"https://crm.example/{tenant}"') + "parameters: {tenant: {}}\n"

    assert [document.key for document in load_text(text, "crm.yaml")] == ["crm"]


def test_a_placement_that_another_one_replaces_is_told() -> None:
    twice = API_TOKEN + '    - {in: header, name: x-key, value: "Key {token}"}\n'

    assert told(twice).endswith("auth.place[1] (crm.yaml:9): replaces what auth.place[0] puts there")


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("social: 5", "adapters.social (crm.yaml:4): expected keys with values"),
        ("social: {}", "adapters.social (crm.yaml:4): a binding names an account, or says per_subject: true"),
        ("social: {account: a, per_subject: true}", "adapters.social (crm.yaml:4): a binding names an account, or"),
        ("social: {acount: a}", "adapters.social.acount (crm.yaml:4): unknown key; did you mean account?"),
        ("social: {per_subject: maybe}", "adapters.social.per_subject (crm.yaml:4): expected true or false"),
        ("so cial: a", "adapters.so cial (crm.yaml:4): expected letters and digits, - and _ within, 64 characters"),
    ],
)
def test_a_fault_in_a_profile_is_found(binding: str, message: str) -> None:
    assert told(PROFILE.replace("social: twitter-dev", binding)).startswith(f"profile 'dev', {message}")


def test_a_document_that_is_there_twice_is_told_with_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(PROFILE)
    (tmp_path / "b.yaml").write_text(f"# first line\n{PROFILE}")

    with pytest.raises(DefinitionErrors, match=r"profile 'dev' \(\S+b.yaml:2\): was already defined at \S+a.yaml:1"):
        load_paths([tmp_path])


def test_all_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(API_TOKEN.replace("{token}", "{tokn}"))
    (tmp_path / "b.yml").write_text("a: b: c")
    (tmp_path / "c.yaml").write_text(f"{PROFILE}---\n{PROFILE.replace('name: dev', 'nme: dev')}")

    with pytest.raises(DefinitionErrors) as caught:
        load_paths([tmp_path])

    assert [(Path(each.source).name, each.line, each.place) for each in caught.value.problems] == [
        ("a.yaml", 8, "auth.place[0].value"),
        ("b.yml", 1, ""),
        ("c.yaml", 6, "name"),
        ("c.yaml", 7, "nme"),
    ]
