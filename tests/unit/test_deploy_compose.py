"""compose.yaml against what it composes: settings, commands, versions, and what keeps it closed."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cli.app import build
from deploy.prodlike.composition import FILE, Composition, NotSet, Place
from runtime.settings import Settings, load_settings, unknown_variables
from runtime.temporal_server import DYNAMIC_CONFIG
from tests.fixtures.time_skipping import PRODUCTION_SERVER

ROOT = FILE.parents[1]
PASSWORDS = {
    "POSTGRES_PASSWORD": "planted-superuser",
    "TIELINE_DATABASE_PASSWORD": "planted-tieline",
    "TEMPORAL_DATABASE_PASSWORD": "planted-temporal",
}
COMPOSITION = Composition(PASSWORDS)
SERVICES = sorted(COMPOSITION.services)
OF_TIELINE = ("prepare", "worker", "gateway", "tieline")
GOING_ON = ("postgresql", "temporal", "worker", "gateway")
ENDING = ("temporal-schema", "prepare")


def whole() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("service", OF_TIELINE)
def test_every_variable_of_a_service_is_a_setting_with_a_value_that_is_taken(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = COMPOSITION.environment(service)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert unknown_variables(environment) == []
    assert settings.database_url == "postgresql+asyncpg://tieline:planted-tieline@postgresql:5432/tieline"


def test_all_services_of_an_installation_have_the_same_variables_but_for_the_gateways_own() -> None:
    environments = [COMPOSITION.environment(name) for name in OF_TIELINE]
    shared = [{k: v for k, v in each.items() if not k.startswith("TIELINE_GATEWAY")} for each in environments]
    assert [each == shared[0] for each in shared] == [True] * len(OF_TIELINE)


@pytest.mark.parametrize("service", OF_TIELINE)
def test_every_service_knows_where_browsers_reach_the_gateway(service: str) -> None:
    """Links for connecting accounts are made by the command and by the gateway; a worker calls no front door."""
    told = Composition({**PASSWORDS, "TIELINE_GATEWAY_URL": "https://tieline.example"})
    assert told.environment(service)["TIELINE_GATEWAY_URL"] == "https://tieline.example"


@pytest.mark.parametrize("service", ["prepare", "worker", "gateway"])
def test_every_command_is_one_of_the_command_line(service: str) -> None:
    group = typer.main.get_command(build())
    assert COMPOSITION.command(service)[0] in getattr(group, "commands")  # noqa: B009 - of a group, not of every command


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_nowhere_but_to_its_volumes_and_gains_no_privileges(service: str) -> None:
    found = COMPOSITION.services[service]
    assert (found["read_only"], found["cap_drop"], found["security_opt"]) == (
        True,
        ["ALL"],
        ["no-new-privileges:true"],
    )


def test_only_the_gateway_is_published_and_only_to_this_machine_unless_somebody_says_otherwise() -> None:
    published = {name: found["ports"] for name, found in COMPOSITION.services.items() if "ports" in found}
    assert list(published) == ["gateway"]
    assert [COMPOSITION.filled(port) for port in published["gateway"]] == ["127.0.0.1:8700:8700"]


@pytest.mark.parametrize("service", ["postgresql", "temporal-schema", "temporal"])
def test_what_only_tieline_needs_is_on_a_network_without_a_way_out(service: str) -> None:
    assert COMPOSITION.services[service]["networks"] == ["inside"]
    assert whole()["networks"]["inside"] == {"internal": True}


@pytest.mark.parametrize("service", GOING_ON)
def test_what_goes_on_is_started_again(service: str) -> None:
    assert COMPOSITION.services[service]["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", ENDING)
def test_what_ends_by_itself_is_not_started_for_ever(service: str) -> None:
    assert COMPOSITION.services[service]["restart"] == "on-failure:5"


def test_there_are_two_workers() -> None:
    assert COMPOSITION.services["worker"]["deploy"] == {"replicas": 2}


def test_a_worker_may_end_its_calls_before_it_is_killed() -> None:
    assert COMPOSITION.services["worker"]["stop_grace_period"] == "40s"
    assert Settings.model_fields["grace_period"].default < 40


@pytest.mark.parametrize("service", ["worker", "gateway"])
def test_nothing_of_tieline_starts_before_its_database_and_namespace_are_ready(service: str) -> None:
    waits_for = COMPOSITION.services[service]["depends_on"]
    assert waits_for["prepare"] == {"condition": "service_completed_successfully"}
    assert COMPOSITION.services["prepare"]["depends_on"]["temporal"] == {"condition": "service_healthy"}


def test_folders_that_are_written_are_volumes() -> None:
    environment = COMPOSITION.environment("worker")
    mounted = [volume.partition(":")[2] for volume in COMPOSITION.services["worker"]["volumes"]]
    assert environment["TIELINE_DATA_DIR"] in mounted
    assert str(Path(environment["TIELINE_KEY_FILE"]).parent) in mounted


def test_files_that_are_mounted_or_built_from_exist() -> None:
    services = COMPOSITION.services
    scripts = [volume.partition(":")[0] for volume in services["postgresql"]["volumes"] if volume.startswith(".")]
    contexts = [found["build"] for found in services.values() if "build" in found]
    dockerfiles = [Path(each["context"]) / each.get("dockerfile", "Dockerfile") for each in contexts]
    missing = [path for path in (*scripts, *dockerfiles) if not (FILE.parent / path).is_file()]
    assert (missing, scripts) == ([], ["./postgresql/roles.sh"])


def test_temporal_is_the_version_that_tieline_is_tested_with() -> None:
    dockerfile = (FILE.parent / "temporal" / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG TEMPORAL_VERSION={PRODUCTION_SERVER.version}\n" in dockerfile
    assert f"{PRODUCTION_SERVER.module}@" in dockerfile
    assert COMPOSITION.services["temporal"]["image"] == f"tieline-temporal:{PRODUCTION_SERVER.version[1:]}"
    assert COMPOSITION.services["temporal-schema"]["image"] == COMPOSITION.services["temporal"]["image"]


def test_temporal_is_configured_as_the_embedded_server_is() -> None:
    text = (FILE.parent / "temporal" / "dynamic.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {key: [{"value": value}] for key, value in DYNAMIC_CONFIG.items()}


def test_the_image_of_tieline_is_named_after_its_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert {COMPOSITION.services[name]["image"] for name in OF_TIELINE} == {f"tieline:{version}"}


def test_the_example_of_the_env_file_names_every_variable() -> None:
    used = set(re.findall(r"\$\{(\w+)", FILE.read_text(encoding="utf-8")))
    example = (FILE.parent / "env.example").read_text(encoding="utf-8")
    assert sorted(name for name in used if name not in example) == []


@pytest.mark.parametrize("name", sorted(PASSWORDS))
def test_nothing_starts_with_a_password_that_was_forgotten(name: str) -> None:
    composition = Composition({**PASSWORDS, name: ""})
    with pytest.raises(NotSet, match=f"{name}: see env.example"):
        [composition.environment(service) for service in SERVICES]


def test_no_password_stands_in_the_file() -> None:
    passwords = re.findall(r"^ +\w*(?:PASSWORD|PWD|SECRET): (.*)$", FILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(passwords) == 7
    assert [each for each in passwords if not each.startswith("${")] == []


@pytest.mark.parametrize("script", sorted(FILE.parent.rglob("*.sh")), ids=lambda path: path.name)
def test_a_script_of_a_container_can_be_read_by_a_plain_shell(script: Path) -> None:
    assert subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True).stderr == ""


def test_a_service_is_moved_to_other_places_by_their_texts() -> None:
    places = (Place("postgresql:5432", "127.0.0.1:15432"), Place("temporal:7233", "127.0.0.1:17233"))
    environment = COMPOSITION.environment("worker", *places)
    assert environment["TIELINE_DATABASE_URL"].endswith("@127.0.0.1:15432/tieline")
    assert environment["TIELINE_TEMPORAL_ADDRESS"] == "127.0.0.1:17233"
