"""The one request that an operation and a credential become."""

from typing import Any

import pytest

from activities.request import RequestError, build_request
from auth.credential import Credential
from auth.errors import Misconfigured
from auth.placement import PlacementError
from auth.secret import Secret
from definitions.integration import Integration
from definitions.operation import Delivery, FormBody, HttpOperation, JsonBody, MultipartBody, TextBody
from definitions.refs import CredentialRef
from definitions.run import Call
from definitions.urls import UrlError
from net.messages import Injected, OutboundRequest, TlsOptions

NONE = {"type": "none"}


def api_token(where: str, name: str, value: str = "{token}") -> dict[str, Any]:
    return {"type": "api_token", "place": [{"in": where, "name": name, "value": value}]}


def build(
    operation: dict[str, Any] | None = None,
    integration: dict[str, Any] | None = None,
    *,
    parameters: dict[str, str] | None = None,
    delivery: Delivery = Delivery.UNSAFE,
) -> OutboundRequest:
    base = {"kind": "integration", "key": "crm", "name": "CRM", "base_url": "https://crm.example/v1", "auth": NONE}
    model = Integration.model_validate(base | (integration or {}))
    secrets = {"token": Secret("t0k-en"), "second": Secret("s3c")}
    call = Call(
        operation=HttpOperation.model_validate({"path": "leads", **(operation or {})}),
        credential=CredentialRef(adapter="crm", profile="dev"),
        delivery=delivery,
        idempotency_key="k" * 32,
    )
    return build_request(call, Credential("id", "crm-main", model, parameters or {}, secrets))


def headers(request: OutboundRequest) -> list[tuple[str, str]]:
    return [pair for pair in request.headers if pair[0] != "User-Agent"]


def test_an_operation_is_sent_below_the_base_url() -> None:
    request = build(
        {"method": "post", "path": "/leads?z=0", "query": {"a": ["1", "2"]}, "timeout": "5s", "max_bytes": 9}
    )

    assert (request.method, request.url) == ("POST", "https://crm.example/v1/leads?z=0&a=1&a=2")
    assert request.headers == (("User-Agent", "tieline"),)
    assert (request.content, request.deadline, request.max_bytes) == (b"", 5.0, 9)
    assert request.injected == Injected()
    assert request.tls is None


def test_parameters_fill_the_base_url_and_the_constants() -> None:
    request = build(
        integration={
            "base_url": "https://{server}.crm.example/{tenant}",
            "parameters": {"server": {"pattern": "[a-z]+"}, "tenant": {}},
            "send": {"headers": {"X-Tenant": "{tenant}"}, "query": {"t": "{tenant|lower}"}},
        },
        parameters={"server": "eu", "tenant": "A/B"},
    )

    assert request.url == "https://eu.crm.example/A%2FB/leads?t=a%2Fb"
    assert headers(request) == [("X-Tenant", "A/B")]
    assert request.injected == Injected(headers=frozenset({"x-tenant"}), query=frozenset({"t"}))


@pytest.mark.parametrize("tenant", ["..", "%2e%2e", "a/../b", "a\r\nb"])
def test_a_parameter_cannot_lead_out_of_the_base_path(tenant: str) -> None:
    integration = {"base_url": "https://crm.example/{tenant}/x", "parameters": {"tenant": {}}}

    with pytest.raises(UrlError):
        build(integration=integration, parameters={"tenant": tenant})


def test_the_operation_s_own_headers_win_over_the_constants() -> None:
    request = build(
        {"headers": {"accept": "text/csv", "X-Own": ["1", "2"], "user-agent": "mine"}},
        {"send": {"headers": {"Accept": "application/json", "X-Version": "3"}}},
    )

    assert request.headers == (
        ("X-Version", "3"),
        ("accept", "text/csv"),
        ("X-Own", "1"),
        ("X-Own", "2"),
        ("user-agent", "mine"),
    )


@pytest.mark.parametrize("operation", [{"query": {"version": "2"}}, {"path": "leads?version=2"}])
def test_the_operation_s_own_query_wins_over_the_constants(operation: dict[str, Any]) -> None:
    request = build(operation, {"send": {"query": {"version": "1", "format": "json"}}})

    assert sorted(request.url.partition("?")[2].split("&")) == ["format=json", "version=2"]


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "Connection", "TE", "Upgrade", "Expect", "Accept-Encoding"]
)
def test_headers_of_the_connection_s_own_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match=f"header {name} belongs to the connection: an operation may not set it"):
        build({"headers": {name: "x"}})


@pytest.mark.parametrize("name", ["Authorization", "cookie"])
def test_headers_that_carry_credentials_are_the_account_s_affair(name: str) -> None:
    with pytest.raises(RequestError, match=f"header {name} carries credentials: an account brings it"):
        build({"headers": {name: "hunter2"}})


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-A", "a\r\nX-Evil: hunter2"), ("X-A", "hunter2\0"), ("X-A", "hunter2ü"), ("X A", "hunter2"), ("", "x")],
)
def test_a_header_that_could_split_the_request_is_the_operation_s_fault(name: str, value: str) -> None:
    with pytest.raises(RequestError) as caught:
        build({"headers": {name: value}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "delivery", "sent"),
    [
        ("POST", Delivery.KEYED, True),
        ("PATCH", Delivery.KEYED, True),
        ("PUT", Delivery.SAFE, True),
        ("DELETE", Delivery.SAFE, True),
        ("GET", Delivery.SAFE, False),
        ("HEAD", Delivery.SAFE, False),
        ("OPTIONS", Delivery.SAFE, False),
    ],
)
def test_writes_carry_the_run_s_key_where_the_provider_reads_one(method: str, delivery: Delivery, sent: bool) -> None:
    request = build({"method": method}, {"idempotency": {"header": "X-Once"}}, delivery=delivery)

    assert headers(request) == ([("X-Once", "k" * 32)] if sent else [])


def test_a_key_of_the_operation_s_own_is_the_one_that_is_sent() -> None:
    request = build(
        {"method": "POST", "headers": {"idempotency-key": "mine"}}, {"idempotency": {}}, delivery=Delivery.KEYED
    )

    assert headers(request) == [("idempotency-key", "mine")]


def test_no_key_is_sent_to_a_provider_that_reads_none() -> None:
    assert headers(build({"method": "POST"})) == []


def test_a_call_that_was_started_as_keyed_is_not_sent_without_its_key() -> None:
    with pytest.raises(RequestError, match="had an idempotency header when this run started and has none now"):
        build({"method": "POST"}, delivery=Delivery.KEYED)


@pytest.mark.parametrize(
    ("auth", "operation", "url", "sent", "content"),
    [
        (api_token("header", "X-Key", "Key {token}"), {}, "/v1/leads", [("X-Key", "Key t0k-en")], b""),
        (api_token("url_parameter", "api_key"), {"query": {"a": "b"}}, "/v1/leads?a=b&api_key=t0k-en", [], b""),
        (api_token("path", "bot", "bot{token}"), {"path": "{bot}/send"}, "/v1/bott0k-en/send", [], b""),
        (api_token("cookie", "session"), {}, "/v1/leads", [("Cookie", "session=t0k-en")], b""),
        (
            api_token("body", "key"),
            {"method": "POST", "body": {"type": "json", "value": {"a": 1}}},
            "/v1/leads",
            [("Content-Type", "application/json")],
            b'{"a":1,"key":"t0k-en"}',
        ),
        (
            api_token("body", "key"),
            {"method": "POST", "body": {"type": "form", "fields": {"a": "1"}}},
            "/v1/leads",
            [("Content-Type", "application/x-www-form-urlencoded")],
            b"a=1&key=t0k-en",
        ),
    ],
)
def test_the_credential_goes_where_the_integration_says(
    auth: dict[str, Any], operation: dict[str, Any], url: str, sent: list[tuple[str, str]], content: bytes
) -> None:
    request = build(operation, {"auth": auth})

    assert request.url == f"https://crm.example{url}"
    assert headers(request) == sent
    assert request.content == content


def test_a_path_placement_fills_the_base_url_too() -> None:
    integration = {"base_url": "https://crm.example/bot{bot}", "auth": api_token("path", "bot")}

    assert build(integration=integration).url == "https://crm.example/bott0k-en/leads"


@pytest.mark.parametrize("path", ["https://{bot}.files.example/x", "https://%7Bbot%7D.files.example/x"])
def test_a_path_placement_reaches_no_host(path: str) -> None:
    with pytest.raises(UrlError, match="may not have a placeholder, a space or % in its host"):
        build({"path": path}, {"hosts": ["*.files.example"], "auth": api_token("path", "bot")})


def test_what_the_credential_puts_in_wins_over_constants_and_operation() -> None:
    request = build(
        {"headers": {"X-Key": "theirs"}, "query": {"api_key": "theirs"}},
        {
            "auth": {
                "type": "api_token",
                "place": [
                    {"in": "header", "name": "X-Key", "value": "{token}"},
                    {"in": "url_parameter", "name": "api_key", "value": "{token}"},
                ],
            },
            "send": {"headers": {"x-key": "constant"}},
        },
    )

    assert headers(request) == [("X-Key", "t0k-en")]
    assert request.url == "https://crm.example/v1/leads?api_key=t0k-en"


@pytest.mark.parametrize("body", [None, {"type": "text", "text": "x"}, {"type": "json", "value": [1]}])
def test_a_body_that_cannot_take_the_credential_is_the_operation_s_fault(body: Any) -> None:
    with pytest.raises(PlacementError, match="send a JSON object, a form or multipart"):
        build({"method": "POST", "body": body}, {"auth": api_token("body", "key")})


def test_a_placement_that_nothing_fills_is_the_integration_s_fault() -> None:
    with pytest.raises(Misconfigured, match=r"auth\.place\[0\] \(header X-Key\)"):
        build(integration={"auth": api_token("header", "X-Key", "{third}")})


@pytest.mark.parametrize(
    ("body", "headers_", "constants", "expected"),
    [
        (JsonBody(value=1), {}, {}, "application/json"),
        (JsonBody(value=1), {"content-type": "application/vnd.api+json"}, {}, "application/vnd.api+json"),
        (JsonBody(value=1), {}, {"Content-Type": "application/vnd.api+json"}, "application/vnd.api+json"),
        (TextBody(text="a"), {}, {"Content-Type": "text/xml"}, "text/xml"),
        (FormBody(), {}, {"Content-Type": "application/json"}, "application/x-www-form-urlencoded"),
        (None, {}, {"Content-Type": "application/json"}, "application/json"),
    ],
)
def test_a_body_says_what_it_is(body: Any, headers_: dict[str, str], constants: dict[str, str], expected: str) -> None:
    request = build({"method": "POST", "body": body, "headers": headers_}, {"send": {"headers": constants}})

    assert [value for name, value in request.headers if name.lower() == "content-type"] == [expected]


def test_a_multipart_body_keeps_its_boundary_whatever_the_constants_say() -> None:
    request = build(
        {"method": "POST", "body": MultipartBody(fields=(("a", "b"),))},
        {"send": {"headers": {"Content-Type": "application/json"}}},
    )

    [(_, media_type)] = headers(request)
    boundary = media_type.removeprefix("multipart/form-data; boundary=").encode()
    assert isinstance(request.content, bytes)
    assert request.content.startswith(b"--" + boundary)


@pytest.mark.parametrize("body", [FormBody(), MultipartBody()])
def test_a_form_s_own_media_type_cannot_be_replaced(body: Any) -> None:
    with pytest.raises(RequestError, match="brings its own Content-Type: leave the header out"):
        build({"method": "POST", "body": body, "headers": {"content-type": "multipart/form-data"}})


def test_redirects_may_lead_to_the_hosts_and_ports_that_the_integration_names() -> None:
    request = build(integration={"base_url": "https://crm.example:8443", "hosts": ["*.cdn.example"], "ports": [9000]})

    assert request.allowed_hosts == frozenset({"crm.example", "*.cdn.example"})
    assert request.ports == {8443, 9000}


def test_a_port_that_a_parameter_brings_opens_nothing_by_itself() -> None:
    server = {"base_url": "https://{server}/v1", "parameters": {"server": {"pattern": ".+"}}}
    request = build(integration={**server, "ports": [9000]}, parameters={"server": "mail.example:25"})

    assert request.url.startswith("https://mail.example:25/")
    assert request.ports == {9000}


def test_an_account_s_own_authority_comes_from_the_named_secret() -> None:
    request = build(integration={"tls": {"ca_secret": "second"}, "secrets": {"second": {}}})

    assert request.tls == TlsOptions(ca_pem="s3c")


def test_client_certificates_come_from_the_named_secrets() -> None:
    tls = {"ca": "PEM", "client_certificate_secret": "token", "client_key_secret": "second"}
    request = build(integration={"tls": tls})

    assert request.tls is not None
    assert request.tls.ca_pem == "PEM"
    assert (request.tls.client_certificate_pem, request.tls.client_key_pem) == (b"t0k-en", b"s3c")
    assert "t0k-en" not in repr(request)
