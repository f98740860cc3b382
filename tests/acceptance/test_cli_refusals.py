"""What people get wrong: one message that names the thing, the place and the next step, the right exit status, no
traceback, and nothing that could be a secret."""

import json
from pathlib import Path
from typing import Any

import pytest

from examples.externalsystems import Systems
from tests.fixtures.commandline import Tieline, tieline_in

CREATE = ("accounts", "create", "new", "--integration", "twitter")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("acounts", "list"), "No such command 'acounts'. Did you mean 'accounts'?"),
        (("call",), "Missing argument 'ADAPTER'.\nSee: tieline call --help"),
        (("call", "parcels", "GET", "x", "--profil", "dev"), "No such option: --profil"),
        (("call", "parcels", "GET", "x", "--wait", "soon"), "Invalid value for '--wait'"),
        (("call", "parcels", "GET", "x", "--wait", "1", "--no-wait"), "--no-wait and --wait exclude each other"),
        (("call", "parcels", "FETCH", "x"), "METHOD: expected 'GET', 'HEAD'"),
        (("call", "parcels", "POST", "x", "--json", "{"), "--json: not JSON at line 1, column 2"),
        (("call", "parcels", "POST", "x", "--json", "@gone"), "--json: gone cannot be read (No such file"),
        (("call", "parcels", "POST", "x", "--json", "@/"), "--json: / cannot be read (Is a directory)"),
        (("call", "parcels", "POST", "x", "--json", "1", "--text", "x"), "choose one of --json, --text"),
        (("call", "parcels", "POST", "x", "--file", "a=@-", "--file", "b=@-"), "standard input (@-) can be one file"),
        (("call", "parcels", "GET", "x", "--timeout", "soon"), "--timeout: expected a duration such as 30s"),
        (("call", "parcel", "GET", "x"), "adapter 'parcel': there is none. Did you mean 'parcels'?"),
        (("call", "parcel", "GET", "x"), "Next step: tieline profiles set dev parcel ACCOUNT"),
        (("call", "parcels", "GET", "x", "--profile", "devv"), "there is no profile 'devv'; did you mean 'dev'?"),
        (
            ("call", "social", "GET", "x"),
            "profile 'dev', adapter 'social': bound to account 'twitter-dev', which does not exist\n"
            "Next step: tieline accounts create twitter-dev --integration KEY",
        ),
        (("runs", "show", "run-z"), "there is no run run-z: tieline runs list shows"),
        (("runs", "list", "--state", "waiting"), "there is no such state. Did you mean 'waiting_to_retry'?"),
        (("runs", "list", "--since", "yesterday"), "--since 'yesterday': expected a time ago such as 90m"),
        (("runs", "decide", "run-0", "repeat", "--why", "x"), "'repeat' is no decision: give one of retry, skip, fail"),
        (("runs", "decide", "run-0", "retry"), "Missing option '--why'"),
        (("runs", "decide", "run-0", "retry", "--why", "x", "--value", "1"), "--value belongs to skip"),
        (("accounts", "show", "parcel"), "there is no account 'parcel'; did you mean 'parcels'?"),
        (("accounts", "create", "x", "--integration", "twiter"), "no integration 'twiter'; did you mean 'twitter'?"),
        (("accounts", "create", "parcels", "--integration", "parcels"), "account 'parcels' exists already"),
        (("accounts", "create", "a b", "--integration", "parcels"), "account name 'a b': letters, digits"),
        ((*CREATE, "--param", "server=x"), "integration 'twitter' has no parameter 'server'"),
        (CREATE, "give --secret client_id=env:VARIABLE --secret client_secret=env:VARIABLE"),
        ((*CREATE, "--secret", "client_id=env:NOT_SET"), "environment variable NOT_SET is not set"),
        ((*CREATE, "--secret", "client_id=-", "--secret", "client_secret=-"), "standard input can give one secret"),
        (("accounts", "set-secrets", "parcels"), "account 'parcels' has no secrets"),
        (("accounts", "delete", "parcels"), "deleting account 'parcels' destroys its secrets: say --yes"),
        (("accounts", "refresh", "parcels"), "uses none, which has no token to fetch"),
        (("integrations", "set-secrets", "parcels"), "integration 'parcels' has no secrets"),
        (("integrations", "show", "twiter"), "no integration 'twiter'; did you mean 'twitter'?"),
        (("profiles", "set", "dev", "parcels", "parcel"), "there is no account 'parcel'; did you mean 'parcels'?"),
        (("profiles", "set", "de v", "parcels", "parcels"), "PROFILE: expected letters and digits, - and _"),
        (("profiles", "unset", "dev", "parcel"), "profile 'dev' has no adapter 'parcel'. Did you mean 'parcels'?"),
        (("profiles", "set", "dev", "parcels", "parcels", "--subject", "ada"), "for everybody; apply the profile with"),
        (("keys", "drop", "k0", "--yes"), "there is no key 'k0' in "),
        (("validate", "gone.yaml"), "gone.yaml: there is no such file or folder"),
        (("schema", "--out", "/gone/schema.json"), "--out: /gone/schema.json cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_bad_use_is_told_with_its_remedy(tieline_up: Tieline, typed: tuple[str, ...], message: str) -> None:
    ran = await tieline_up(*typed)
    document = json.loads((await tieline_up(*typed, "--output", "json")).output)

    assert ran.status == 2
    assert message in ran.errors
    assert message in document["error"]["message"]
    assert document["error"]["exit_status"] == 2
    assert ran.output == ""


@pytest.mark.parametrize(
    "typed",
    [
        (*CREATE, "--secret", "client_secret=hunter2"),
        (*CREATE, "--secret", "hunter2"),
        (*CREATE, "hunter2"),
        (*CREATE, "client_secret=hunter2"),
        (*CREATE, "--secret", "hunter2=env:HOME"),
        (*CREATE, "--secret", "client_id=file:/dev/stdin", "--secret", "client_secret=-"),
        ("integrations", "set-secrets", "twitter", "--secret", "client_secret=-"),
        ("call", "parcels", "POST", "x", "--json", '{"password": hunter2}'),
    ],
    ids=lambda typed: " ".join(typed),
)
async def test_what_may_be_a_secret_is_not_repeated(tieline_up: Tieline, typed: tuple[str, ...]) -> None:
    ran = await tieline_up(*typed, stdin=b"hunter2\n")
    programs = await tieline_up(*typed, "-o", "json", stdin=b"hunter2\n")

    assert ran.status == programs.status == 2
    assert "hunter2" not in ran.output + ran.errors + programs.output + programs.errors


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"kind: integration\n name: x\n", "bad.yaml:2): not YAML: mapping values are not allowed here"),
        (b"kind: integraton\n", "bad.yaml:1): expected kind: integration or kind: profile; did you mean integration?"),
        (b"kind: profile\nname: dev\nadaptors: {}\n", "bad.yaml:3): unknown key; did you mean adapters?"),
        (b"kind: profile\nname: caf\xe9\n", "bad.yaml is not UTF-8 text (byte 23)"),
        (b"", "bad.yaml:1): is empty"),
    ],
    ids=["indented", "kind", "key", "latin-1", "empty"],
)
async def test_a_broken_definition_is_told_with_file_and_line(
    tieline_up: Tieline, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "bad.yaml").write_bytes(content)

    file = await tieline_up("apply", str(tmp_path / "bad.yaml"))
    folder = await tieline_up("validate", str(tmp_path))

    assert file.status == folder.status == 2
    assert message in file.errors
    assert message in folder.errors


@pytest.mark.parametrize(
    ("settings", "status", "message"),
    [
        ({"temporal_address": "127.0.0.1:1"}, 3, "no Temporal server answers at 127.0.0.1:1 (Connection refused): co"),
        ({"temporal_address": "temporal"}, 2, "TIELINE_TEMPORAL_ADDRESS: expected HOST:PORT"),
        ({"temporal_namespace": "nowhere"}, 2, "Namespace nowhere is not found. Create it there, or correct TIELINE_"),
        ({"log_level": "loud"}, 2, "TIELINE_LOG_LEVEL: expected 'debug', 'info'"),
        ({"egress_allow": "10.0.0.0/33:80"}, 2, "TIELINE_EGRESS_ALLOW: egress rule '10.0.0.0/33:80'"),
        ({"keys": "hunter2"}, 2, "TIELINE_KEYS, entry 1: write ID:BASE64"),
        ({"key_file": "/gone/keys.json"}, 2, "the key file /gone/keys.json is missing, and secrets are"),
        ({"data_dir": "/etc/hosts"}, 2, "TIELINE_DATA_DIR: /etc/hosts cannot be used (it is no folder)"),
        ({"data_dir": "/etc/hosts/below"}, 2, "TIELINE_DATA_DIR: /etc/hosts/below cannot be used (it is no folder)"),
        ({"database_url": "postgresql+asyncpg://a:hunter2@127.0.0.1:1/x"}, 3, "the database 127.0.0.1/x cannot be rea"),
        ({"database_url": "nonsense"}, 2, "TIELINE_DATABASE_URL is no database URL"),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else None,
)
async def test_a_setting_that_cannot_be_used_is_named(
    tieline_up: Tieline, settings: dict[str, Any], status: int, message: str
) -> None:
    ran = await tieline_up("runs", "list", **settings)
    document = json.loads((await tieline_up("runs", "list", "-o", "json", **settings)).output)

    assert ran.status == document["error"]["exit_status"] == status
    assert message in ran.errors
    assert message in document["error"]["message"]
    assert "hunter2" not in ran.errors


@pytest.mark.parametrize(
    ("settings", "status", "subject", "message"),
    [
        ({"temporal_address": "127.0.0.1:1"}, 3, "temporal", "no Temporal server answers at 127.0.0.1:1"),
        ({"temporal_namespace": "nowhere"}, 1, "temporal", "has no namespace 'nowhere': create it there"),
        ({"task_queue": "nobody"}, 1, "worker", "nobody polls task queue nobody, so runs wait: start one with"),
        ({"data_dir": "/etc/hosts"}, 1, "data folder", "TIELINE_DATA_DIR: /etc/hosts cannot be used"),
        ({"keys": "k0:" + "A" * 43 + "="}, 1, "keys", "TIELINE_KEYS"),
        ({"database_url": "nonsense"}, 1, "database", "TIELINE_DATABASE_URL is no database URL"),
        ({"database_url": "postgresql+asyncpg://a:hunter2@127.0.0.1:1/x"}, 3, "database", "cannot be reached"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
async def test_doctor_says_what_is_wrong_and_what_to_do(
    tieline_up: Tieline, settings: dict[str, Any], status: int, subject: str, message: str
) -> None:
    ran = await tieline_up("doctor", **settings)

    assert ran.status == status
    (line,) = [line for line in ran.output.splitlines() if message in line]
    assert line.split()[0] in ("wrong", "unreachable")
    assert f" {subject} " in line


async def test_a_misspelt_variable_is_told_by_every_command(tieline_up: Tieline) -> None:
    ran = await tieline_up("accounts", "list", temporal_adress="127.0.0.1:1")

    assert ran.status == 0
    warning = "TIELINE_TEMPORAL_ADRESS is not a setting of Tieline and was ignored; did you mean TIELINE_TEMPORAL_"
    assert warning in ran.errors


async def test_an_empty_variable_is_none(tieline_up: Tieline) -> None:
    ran = await tieline_up("runs", "list", "--limit", "1", temporal_address="", log_level="", keys="")

    assert (ran.status, ran.errors) == (0, "")


async def test_without_a_server_the_folder_and_the_way_out_are_named(tmp_path: Path, systems: Systems) -> None:
    tieline = tieline_in(tmp_path, systems)

    ran = await tieline("runs", "list")
    again = await tieline("runs", "list", "-o", "json")

    assert ran.status == again.status == 3
    told = f"no Temporal server runs for the data folder {tieline.folder}: start one with `tieline up`"
    assert told in ran.errors
    assert told in json.loads(again.output)["error"]["message"]
    assert f"there is no data folder {tieline.folder} yet: it is made now" in ran.errors
    assert again.errors == ""


async def test_what_needs_no_server_works_without_one(tmp_path: Path, systems: Systems) -> None:
    tieline = tieline_in(tmp_path, systems)

    lists = [await tieline(group, "list") for group in ("integrations", "accounts", "profiles", "keys")]

    assert [ran.status for ran in lists] == [0, 0, 0, 0]
    assert [ran.output.partition(":")[2].strip() for ran in lists[:3]] == [
        "tieline apply FILE…",
        "tieline accounts create NAME --integration KEY",
        "tieline profiles set dev ADAPTER ACCOUNT",
    ]
