"""The places of an installation's own services, from its settings."""

import contextlib
import socket
from pathlib import Path

import pytest

from gateway.serve import as_served
from net.egress import AllowRule
from runtime.http_server import listen
from runtime.own_services import own_services
from runtime.settings import Settings

GATEWAY = AllowRule.parse("127.0.0.1:8700")
"""Where the HTTP API is unless another address is configured."""


async def places(folder: Path, **settings: str) -> list[AllowRule]:
    return await own_services(Settings.model_validate({"data_dir": folder, **settings}))


def outward() -> list[str]:
    """Where packets to elsewhere come from, on a machine that has an elsewhere."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.200", 9))
        return [probe.getsockname()[0]]
    return []


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"temporal_address": "10.1.2.3:7233"}, "10.1.2.3:7233"),
        ({"temporal_address": "[fd00::5]:7233"}, "[fd00::5]:7233"),
        ({"database_url": "postgresql+asyncpg://me:secret@10.1.2.4/tieline"}, "10.1.2.4:5432"),
        ({"database_url": "postgresql+asyncpg://me@10.1.2.4:6432/tieline"}, "10.1.2.4:6432"),
        ({"assets_url": "s3://files", "assets_endpoint": "https://10.1.2.7"}, "10.1.2.7:443"),
        ({"health_address": "10.1.2.5:8080"}, "10.1.2.5:8080"),
        ({"metrics_address": "10.1.2.5:9090"}, "10.1.2.5:9090"),
    ],
)
async def test_each_service_is_one_host_on_one_port(tmp_path: Path, settings: dict[str, str], rule: str) -> None:
    assert await places(tmp_path, **settings) == sorted([AllowRule.parse(rule), GATEWAY], key=str)


async def test_a_service_with_a_name_is_closed_by_its_addresses_as_well(tmp_path: Path) -> None:
    found = await places(tmp_path, temporal_address="localhost:7233")

    assert AllowRule.parse("localhost:7233") in found
    assert AllowRule.parse("127.0.0.1:7233") in found


async def test_who_listens_everywhere_is_closed_by_the_name_of_the_machine_and_its_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "10.1.2.6")

    found = await places(tmp_path, gateway_address="0.0.0.0:9090")

    closed = {"10.1.2.6:9090", "127.0.0.1:9090", "[::1]:9090", *(f"{address}:9090" for address in outward())}
    assert {AllowRule.parse(each) for each in closed} <= set(found)


async def test_an_installation_on_a_file_without_a_server_has_its_gateway_alone(tmp_path: Path) -> None:
    assert await places(tmp_path) == [GATEWAY]


async def test_the_gateway_is_closed_where_it_is_configured(tmp_path: Path) -> None:
    assert await places(tmp_path, gateway_address="10.1.2.7:80") == [AllowRule.parse("10.1.2.7:80")]


async def test_the_gateway_is_closed_at_the_port_that_was_found_free(tmp_path: Path) -> None:
    with listen("127.0.0.1:0") as listener:
        settings = as_served(Settings(data_dir=tmp_path), listener)
        found = await own_services(settings)
        assert found == [AllowRule.parse(f"127.0.0.1:{listener.getsockname()[1]}")]


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://tieline.example", "tieline.example:443"),
        ("https://tieline.example:8443", "tieline.example:8443"),
        ("http://localhost:8700", "localhost:8700"),
    ],
)
async def test_the_public_name_of_the_gateway_is_closed_without_the_addresses_that_others_may_share(
    tmp_path: Path, url: str, rule: str
) -> None:
    assert await places(tmp_path, gateway_url=url) == [GATEWAY, AllowRule.parse(rule)]
