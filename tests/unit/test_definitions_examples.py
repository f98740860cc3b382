"""The examples load as they stand, and the seed's two integrations have their fields one by one."""

from pathlib import Path

import pytest

from definitions.auth import ApiTokenAuth, BasicAuth, CustomTokenAuth, OAuth2Auth, SftpAuth
from definitions.auth.oauth2 import Grant
from definitions.auth.simple import HostKeyPolicy
from definitions.integration import Integration
from definitions.loading import load_paths
from definitions.placement import Place
from definitions.profile import Profile

FOLDER = Path(__file__).parents[2] / "examples" / "integrations"
MODELS = [document.model for document in load_paths([FOLDER])]
INTEGRATIONS = {model.key: model for model in MODELS if isinstance(model, Integration)}
PROFILES = {model.name: model for model in MODELS if isinstance(model, Profile)}


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_every_file_loads_alone_and_begins_by_saying_what_it_shows(file: Path) -> None:
    assert load_paths([file])
    assert file.read_text(encoding="utf-8").startswith("# ")


def test_there_is_one_for_every_way_that_an_app_can_use_today() -> None:
    assert {key: type(each.auth) for key, each in INTEGRATIONS.items()} == {
        "twitter": OAuth2Auth,
        "giphy": ApiTokenAuth,
        "helpdesk": BasicAuth,
        "bank": CustomTokenAuth,
        "ticketing": ApiTokenAuth,
        "warehouse": SftpAuth,
    }


def test_twitter_is_as_its_walk_through_says() -> None:
    twitter = INTEGRATIONS["twitter"]
    auth = twitter.auth

    assert isinstance(auth, OAuth2Auth)
    assert (twitter.name, twitter.base_url) == ("Twitter", "https://api.twitter.com")
    assert auth.grant is Grant.CLIENT_CREDENTIALS
    assert auth.token is not None
    assert auth.token.endpoint == "https://api.twitter.com/oauth2/token"
    assert auth.token.verb == "POST"
    assert auth.authorize is not None
    assert auth.authorize.endpoint == "https://api.twitter.com/oauth2/token"
    assert auth.scopes == ("read",)
    assert list(auth.secret_fields()) == ["client_id", "client_secret"]
    [place] = auth.place
    assert place.in_ is Place.HEADER
    assert place.name == "Authorization"
    assert place.value == "Bearer {token}"


def test_giphy_is_as_its_walk_through_says() -> None:
    giphy = INTEGRATIONS["giphy"]

    assert (giphy.name, giphy.base_url) == ("GIPHY", "https://api.giphy.com")
    assert list(giphy.secret_fields()) == ["token"]
    [place] = giphy.auth.place
    assert place.in_ is Place.URL_PARAMETER
    assert place.name == "api_key"
    assert place.value == "{token}"


def test_the_custom_token_logs_in_and_then_exchanges() -> None:
    auth = INTEGRATIONS["bank"].auth

    assert isinstance(auth, CustomTokenAuth)
    assert [request.name for request in auth.requests] == ["login", "exchange"]
    assert list(auth.requests[0].capture) == ["session"]
    assert auth.requests[1].headers == {"X-Session": "{session}"}


def test_the_server_name_stands_in_the_base_url_bound_by_a_pattern() -> None:
    ticketing = INTEGRATIONS["ticketing"]

    assert ticketing.base_url_names() == {"serverName"}
    assert ticketing.parameters["serverName"].pattern is not None


def test_host_port_user_and_root_of_an_sftp_server_come_from_the_account() -> None:
    warehouse = INTEGRATIONS["warehouse"]
    auth = warehouse.auth

    assert isinstance(auth, SftpAuth)
    assert auth.host_key is HostKeyPolicy.CONFIRM_FIRST
    assert warehouse.base_url_names() == set(warehouse.parameters) == {"host", "port", "root"}
    assert [name for name, field in auth.secret_fields().items() if not field.optional] == ["username"]
    assert {"password", "private_key", "passphrase", "certificate"} < set(auth.secret_fields())


def test_the_profiles_bind_an_adapter_for_each_integration() -> None:
    assert set(PROFILES) == {"dev", "production"}
    assert set(PROFILES["dev"].adapters) == set(PROFILES["production"].adapters)
    assert len(PROFILES["dev"].adapters) == len(INTEGRATIONS)
