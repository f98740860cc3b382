"""The places of an installation's own services, from its settings."""

import socket
from pathlib import Path

import pytest

from net.egress import AllowRule
from runtime.own_services import own_services
from runtime.settings import Settings


async def places(folder: Path, **settings: str) -> list[AllowRule]:
    return await own_services(Settings.model_validate({"data_dir": folder, **settings}))


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"temporal_address": "10.1.2.3:7233"}, "10.1.2.3:7233"),
        ({"temporal_address": "[fd00::5]:7233"}, "[fd00::5]:7233"),
        ({"database_url": "postgresql+asyncpg://me:secret@10.1.2.4/tieline"}, "10.1.2.4:5432"),
        ({"database_url": "postgresql+asyncpg://me@10.1.2.4:6432/tieline"}, "10.1.2.4:6432"),
        ({"health_address": "10.1.2.5:8080"}, "10.1.2.5:8080"),
        ({"metrics_address": "10.1.2.5:9090"}, "10.1.2.5:9090"),
    ],
)
async def test_each_service_is_one_host_on_one_port(tmp_path: Path, settings: dict[str, str], rule: str) -> None:
    assert await places(tmp_path, **settings) == [AllowRule.parse(rule)]


async def test_a_service_with_a_name_is_closed_by_its_addresses_as_well(tmp_path: Path) -> None:
    found = await places(tmp_path, temporal_address="localhost:7233")

    assert AllowRule.parse("localhost:7233") in found
    assert AllowRule.parse("127.0.0.1:7233") in found


async def test_who_listens_everywhere_is_closed_by_the_name_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "10.1.2.6")

    assert await places(tmp_path, metrics_address="0.0.0.0:9090") == [AllowRule.parse("10.1.2.6:9090")]


async def test_an_installation_on_a_file_without_a_server_has_none(tmp_path: Path) -> None:
    assert await places(tmp_path) == []
