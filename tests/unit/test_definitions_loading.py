"""Definitions as they are meant to be written, for every kind of authentication."""

from typing import Any

import pytest
import yaml

from definitions.auth import ApiTokenAuth, BasicAuth, CustomTokenAuth, NoAuth, OAuth2Auth, SftpAuth
from definitions.integration import Integration
from definitions.loading import load_text
from definitions.placement import Place
from definitions.problems import DefinitionErrors
from definitions.profile import Binding, Profile
from definitions.refs import CredentialRef

SEED = """\
kind: integration
key: twitter
name: Twitter
base_url: https://api.twitter.com
auth:
  type: oauth2
  grant: client_credentials
  token: {endpoint: https://api.twitter.com/oauth2/token, verb: POST}
  authorize: {endpoint: https://api.twitter.com/oauth2/token}
  scopes: [read]
  place: [{in: header, name: Authorization, value: "Bearer {token}"}]
---
kind: integration
key: giphy
name: GIPHY
base_url: https://api.giphy.com
auth:
  type: api_token
  place: [{in: url_parameter, name: api_key, value: "{token}"}]
---
kind: profile
name: production
adapters: {social: twitter-main, gifs: giphy-main}
"""
PLACED = {"in": "header", "name": "X-Key", "value": "{token}"}
LOGIN = {"endpoint": "https://a.example/login", "body": {"values": {"u": "{user}"}}, "capture": {"token": "t"}}


def integration(auth: dict[str, Any], **more: Any) -> Integration:
    document = {"kind": "integration", "key": "a", "name": "A", "base_url": "https://a.example", "auth": auth, **more}
    [found] = load_text(yaml.safe_dump(document), "a.yaml")
    assert isinstance(found.model, Integration)
    return found.model


def profile(text: str) -> Profile:
    [found] = load_text(f"kind: profile\nname: dev\n{text}\n", "p.yaml")
    assert isinstance(found.model, Profile)
    return found.model


def test_twitter_giphy_and_their_profile_load_from_one_file() -> None:
    documents = load_text(SEED, "seed.yaml")

    assert [(each.kind, each.key, each.line) for each in documents] == [
        ("integration", "twitter", 1),
        ("integration", "giphy", 13),
        ("profile", "production", 21),
    ]


def test_twitter_has_every_field_that_was_written() -> None:
    twitter = load_text(SEED, "seed.yaml")[0].model

    assert isinstance(twitter, Integration)
    assert twitter.model_dump(mode="json", by_alias=True, exclude_defaults=True) == {
        "kind": "integration",
        "key": "twitter",
        "name": "Twitter",
        "base_url": "https://api.twitter.com",
        "auth": {
            "type": "oauth2",
            "grant": "client_credentials",
            "token": {"endpoint": "https://api.twitter.com/oauth2/token"},
            "authorize": {"endpoint": "https://api.twitter.com/oauth2/token"},
            "scopes": ["read"],
        },
    }
    assert isinstance(twitter.auth, OAuth2Auth)
    assert twitter.auth.token is not None
    assert twitter.auth.token.verb == "POST"
    [place] = twitter.auth.place
    assert (place.in_, place.name, place.value) == (Place.HEADER, "Authorization", "Bearer {token}")


def test_giphy_and_the_profile_have_every_field_that_was_written() -> None:
    [_, giphy, production] = [each.model for each in load_text(SEED, "seed.yaml")]

    assert giphy.model_dump(mode="json", by_alias=True, exclude_defaults=True) == {
        "kind": "integration",
        "key": "giphy",
        "name": "GIPHY",
        "base_url": "https://api.giphy.com",
        "auth": {"type": "api_token", "place": [{"in": "url_parameter", "name": "api_key", "value": "{token}"}]},
    }
    assert isinstance(production, Profile)
    assert production.adapters == {"social": Binding(account="twitter-main"), "gifs": Binding(account="giphy-main")}


@pytest.mark.parametrize(
    ("auth", "model", "secrets", "renews"),
    [
        (
            {"type": "oauth2", "grant": "client_credentials", "token": {"endpoint": "https://a.example/token"}},
            OAuth2Auth,
            ["client_id", "client_secret"],
            True,
        ),
        ({"type": "api_token", "place": [PLACED]}, ApiTokenAuth, ["token"], False),
        ({"type": "basic"}, BasicAuth, ["username", "password"], False),
        ({"type": "custom_token", "secrets": {"user": {}}, "requests": [LOGIN]}, CustomTokenAuth, ["user"], True),
        ({"type": "none"}, NoAuth, [], False),
    ],
)
def test_each_type_of_authentication_asks_for_its_secrets(
    auth: dict[str, Any], model: type, secrets: list[str], renews: bool
) -> None:
    found = integration(auth)

    assert type(found.auth) is model
    assert list(found.secret_fields()) == secrets
    assert found.auth.renews is renews


def test_sftp_must_say_how_the_server_proves_who_it_is() -> None:
    found = integration({"type": "sftp", "host_key": "known_hosts"}, base_url="sftp://files.example")
    fields = found.secret_fields()

    assert isinstance(found.auth, SftpAuth)
    assert [name for name, field in fields.items() if not field.optional] == ["username"]
    assert {name for name, field in fields.items() if field.optional} == {
        "password",
        "private_key",
        "passphrase",
        "certificate",
    }
    with pytest.raises(DefinitionErrors, match=r"auth\.host_key \(a\.yaml:\d+\): is missing"):
        integration({"type": "sftp"}, base_url="sftp://files.example")


@pytest.mark.parametrize(
    ("auth", "place"),
    [
        ({"type": "basic"}, ("header", "Authorization", "Basic {credentials}")),
        (
            {"type": "custom_token", "secrets": {"user": {}}, "requests": [LOGIN]},
            ("header", "Authorization", "Bearer {token}"),
        ),
    ],
)
def test_what_is_usual_needs_no_placement(auth: dict[str, Any], place: tuple[str, str, str]) -> None:
    [found] = integration(auth).auth.place

    assert (found.in_, found.name, found.value) == place


@pytest.mark.parametrize("auth", [{"type": "none"}, {"type": "sftp", "host_key": "pinned"}])
def test_what_places_nothing_takes_no_placement(auth: dict[str, Any]) -> None:
    with pytest.raises(DefinitionErrors, match=r"auth\.place"):
        integration({**auth, "place": [PLACED]}, base_url="sftp://files.example")


@pytest.mark.parametrize(
    ("input_", "written"),
    [
        ("base_url", {"base_url": "https://{server}.example"}),
        ("headers", {"send": {"headers": {"X-Server": "{server}"}}}),
        ("query", {"send": {"query": {"server": "{server}"}}}),
        ("test path", {"test": {"path": "{server}/me"}}),
        ("test query", {"test": {"path": "me", "query": {"server": "{server}"}}}),
        ("placement", {"auth": {"type": "api_token", "place": [{**PLACED, "value": "{server} {token}"}]}}),
    ],
)
def test_a_parameter_may_stand_in_every_input(input_: str, written: dict[str, Any]) -> None:
    parameters = {"parameters": {"server": {"pattern": "[a-z]+"}}}

    found = integration(written.pop("auth", {"type": "none"}), **written, **parameters)

    assert list(found.parameters) == ["server"], input_


@pytest.mark.parametrize("part", ["params", "headers"])
def test_a_parameter_may_stand_in_a_token_request(part: str) -> None:
    token = {"endpoint": "https://{server}.example/token", part: {"a": "{server}"}}
    auth = {"type": "oauth2", "grant": "client_credentials", "token": token, "scopes": ["https://{server}/.default"]}

    assert integration(auth, parameters={"server": {"pattern": "[a-z]+"}}).auth.renews


def test_a_parameter_has_its_default_where_an_account_says_nothing() -> None:
    found = integration(
        {"type": "none"},
        base_url="https://{region}.example/{tenant}",
        parameters={"region": {"pattern": "[a-z]+", "default": "eu"}, "tenant": {}},
    )

    assert found.parameter_values({"tenant": "a"}) == {"region": "eu", "tenant": "a"}
    assert found.parameter_values({"tenant": "a", "region": "us"}) == {"region": "us", "tenant": "a"}


def test_values_that_a_chain_captures_may_stand_in_later_requests_placements_and_the_base_url() -> None:
    exchange = {
        "endpoint": "https://a.example/{session}",
        "headers": {"X-Session": "{session}"},
        "query": {"s": "{session}"},
        "body": {"type": "form", "values": {"list": ["{session}", 5, None, {"deep": "{session|base64}"}]}},
        "capture": {"token": "t", "tenant": "id", "refresh_token": "r"},
    }
    refresh = {"endpoint": "https://a.example/r?t={refresh_token}&s={session}", "capture": {"token": "t"}}
    found = integration(
        {
            "type": "custom_token",
            "secrets": {"user": {"label": "User", "identifier": True}},
            "requests": [{**LOGIN, "capture": {"session": "s"}}, exchange],
            "refresh": refresh,
            "place": [{**PLACED, "value": "{session}-{token}"}],
        },
        base_url="https://a.example/{tenant}",
    )

    assert isinstance(found.auth, CustomTokenAuth)
    assert found.auth.captured() == {"session", "token", "tenant", "refresh_token"}
    assert found.base_url_names() == {"tenant"}


@pytest.mark.parametrize(
    ("refresh", "captured", "message"),
    [
        ({"endpoint": "https://a.example/r"}, {"token": "t", "refresh_token": "r"}, "refresh must capture token"),
        (
            {"endpoint": "https://a.example/r", "capture": {"token": "t"}},
            {"token": "t"},
            "refresh needs a refresh_token",
        ),
    ],
)
def test_a_renewal_needs_a_refresh_token_and_brings_a_token(
    refresh: dict[str, Any], captured: dict[str, str], message: str
) -> None:
    auth = {
        "type": "custom_token",
        "secrets": {"user": {}},
        "requests": [{**LOGIN, "capture": captured}],
        "refresh": refresh,
    }

    with pytest.raises(DefinitionErrors, match=message):
        integration(auth)


def test_a_profile_binds_adapters_to_accounts_or_to_one_per_subject() -> None:
    found = profile("adapters: {crm: crm-dev, mail: {per_subject: true}, bank: {account: b}}\nvariables: {a: b}")

    assert found.adapters == {
        "crm": Binding(account="crm-dev"),
        "mail": Binding(per_subject=True),
        "bank": Binding(account="b"),
    }
    assert found.variables == {"a": "b"}


def test_a_reference_to_a_credential_says_what_it_refers_to_and_groups_fairly() -> None:
    all_ = CredentialRef(adapter="crm", profile="dev")
    one = CredentialRef(adapter="crm", profile="dev", subject="ada")

    assert (str(all_), all_.fairness_key) == ("crm · dev", "crm:dev")
    assert (str(one), one.fairness_key) == ("crm · dev · ada", "crm:dev:ada")
    assert len({all_, one, CredentialRef(adapter="crm", profile="dev")}) == 2


@pytest.mark.parametrize("name", ["adapter", "profile", "subject"])
def test_a_reference_cannot_be_changed(name: str) -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(CredentialRef(adapter="crm", profile="dev"), name, "other")
