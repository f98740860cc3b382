"""What a definition may say, and probably does not mean."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.app import run
from definitions.checks import warnings_of
from definitions.integration import Integration
from definitions.problems import dotted


def warned(base_url: str, auth: Mapping[str, object]) -> list[str]:
    integration = Integration.model_validate(
        {
            "kind": "integration",
            "key": "crm",
            "name": "CRM",
            "base_url": base_url,
            "parameters": {"server": {"pattern": ".+"}},
            "auth": auth,
        }
    )
    return [dotted(fault.path) for fault in warnings_of(integration)]


@pytest.mark.parametrize("base_url", ["http://crm.example/v1", "http://{server}.crm.example", "http://93.184.216.34"])
def test_credentials_without_encryption_are_warned_about(base_url: str) -> None:
    assert warned(base_url, {"type": "basic"}) == ["base_url"]


@pytest.mark.parametrize("endpoint", ["http://login.example/token", "http://login.{server}/token"])
def test_a_token_endpoint_without_encryption_is_warned_about(endpoint: str) -> None:
    auth = {"type": "oauth2", "grant": "client_credentials", "token": {"endpoint": endpoint}}

    assert warned("https://crm.example", auth) == ["auth.token.endpoint"]


@pytest.mark.parametrize(
    "base_url",
    [
        "https://crm.example",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://localhost:8080",
        "http://10.1.2.3",
        "http://crm.internal",
        "http://crm",
        "http://{server}/v1",
    ],
)
def test_what_stays_near_or_may_do_so_is_not_warned_about(base_url: str) -> None:
    assert warned(base_url, {"type": "basic"}) == []


def test_calls_without_credentials_are_not_warned_about() -> None:
    assert warned("http://crm.example", {"type": "none"}) == []


def test_validate_tells_warnings_beside_its_output_and_succeeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "crm.yaml"
    file.write_text("kind: integration\nkey: crm\nname: CRM\nbase_url: http://crm.example\nauth: {type: basic}\n")

    assert run(["validate", str(file)]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("integration crm: valid")
    assert f"warning: integration crm, base_url ({file}:1): sends credentials without encryption" in " ".join(
        told.err.split()
    )
