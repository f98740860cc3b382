"""The seed's walk-through from the command line: an OAuth 2.0 and an API token integration, accounts, adapters, calls.
Typed as a reader would, in this order."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from examples.externalsystems import Systems
from tests.fixtures.commandline import SECRETS, Tieline, definitions, tieline_in, up
from tests.fixtures.processes import Ran

PROCESSES = ("apply", "client", "tweets", "rotate", "tweet", "doctor")
"""The steps that a process of their own proves something about; a process costs a second or two."""


@dataclass(frozen=True, slots=True)
class Tour:
    """What was typed, and what came of it."""

    tieline: Tieline
    file: Path
    ran: dict[str, Ran]

    def document(self, step: str) -> Any:
        return json.loads(self.ran[step].output)


@pytest_asyncio.fixture(scope="module")
async def tour(tmp_path_factory: Any, systems: Systems) -> Any:
    folder = tmp_path_factory.mktemp("tour folder")
    tieline, file = tieline_in(folder, systems), folder / "integrations.yaml"
    file.write_text(definitions(systems).partition("---\nkind: profile")[0], encoding="utf-8")
    (folder / "giphy-key").write_text(SECRETS["TEST_GIPHY_TOKEN"])
    production = ("--profile", "production")
    typed: dict[str, tuple[str, ...]] = {
        "validate": ("validate", str(file)),
        "preview": ("apply", str(file), "--dry-run"),
        "nothing yet": ("integrations", "list", "-o", "json"),
        "apply": ("apply", str(file)),
        "client": (
            *("integrations", "set-secrets", "twitter", "--secret", "client_id=env:TEST_TWITTER_CLIENT_ID"),
            *("--secret", "client_secret=-"),
        ),
        "twitter account": ("accounts", "create", "twitter-main", "--integration", "twitter"),
        "giphy account": (
            *("accounts", "create", "giphy-main", "--integration", "giphy"),
            *("--secret", f"token=file:{folder / 'giphy-key'}"),
        ),
        "twitter adapter": ("profiles", "set", "production", "social", "twitter-main"),
        "giphy adapter": ("profiles", "set", "production", "gifs", "giphy-main"),
        "test": ("accounts", "test", "twitter-main"),
        "tweets": ("call", "social", "GET", "2/tweets/search?query=hello", *production),
        "gifs": ("call", "gifs", "GET", "v1/gifs/search", "--query", "q=cat", "--extract", "data[].url", *production),
        "rotate": ("keys", "rotate", "-o", "json"),
        "tweet": ("call", "social", "POST", "2/tweets", "--json", '{"text": "after rotation"}', *production),
        "runs": ("runs", "list", "--profile", "production", "-o", "json"),
        "doctor": ("doctor", "-o", "json"),
    }
    ran = {}
    async with up(tieline, log=folder / "up.log"):
        for step, arguments in typed.items():
            type_it = tieline.process if step in PROCESSES else tieline
            stdin = SECRETS["TEST_TWITTER_CLIENT_SECRET"].encode() if step == "client" else None
            ran[step] = await type_it(*arguments, stdin=stdin)
        yield Tour(tieline, file, ran)


def test_every_step_is_done(tour: Tour) -> None:
    assert {step: ran.errors for step, ran in tour.ran.items() if ran.status != 0} == {}


def test_a_preview_changes_nothing(tour: Tour) -> None:
    assert "integration twitter: would be created" in tour.ran["preview"].output
    assert tour.document("nothing yet") == []
    assert "integration giphy: created" in tour.ran["apply"].output


def test_an_account_needs_no_secrets_of_its_own_where_its_integration_has_the_client(tour: Tour) -> None:
    assert tour.ran["client"].output == "integration twitter: stored client_id, client_secret, for all its accounts\n"
    assert tour.ran["twitter account"].output == "account twitter-main: created for integration twitter\n"
    assert tour.ran["test"].output == "account twitter-main: works (answered 200)\n"


def test_adapters_are_bound_in_a_profile_that_was_not_there(tour: Tour) -> None:
    told = tour.ran["twitter adapter"].output
    assert told == "profile production: adapter social uses account twitter-main (the profile is new)\n"
    assert tour.ran["giphy adapter"].output == "profile production: adapter gifs uses account giphy-main\n"


def test_calls_are_made_with_a_bearer_token_and_with_a_key_in_the_url(tour: Tour, systems: Systems) -> None:
    assert tour.document("tweets")["account"] == "tieline"
    assert tour.document("gifs") == [f"https://giphy.example/giphy-live/{number}" for number in (1, 2)]
    searches = systems.ledger.requests("/giphy/v1/gifs/search", account="giphy-live")
    assert {tuple(sorted(each.query)) for each in searches} == {("api_key", "q")}  # others search in this process, too


def test_keys_are_rotated_while_the_worker_runs(tour: Tour, systems: Systems) -> None:
    rotated = tour.document("rotate")
    assert rotated["rewrapped"] >= 3
    assert rotated["unreadable"] == []
    assert systems.ledger.effects("after rotation") == 1


def test_the_runs_stand_in_the_list(tour: Tour) -> None:
    runs = tour.document("runs")
    assert [(run["summary"], run["state"]) for run in runs] == [
        ("POST social/2/tweets · production", "completed"),
        ("GET gifs/v1/gifs/search · production", "completed"),
        ("GET social/2/tweets/search · production", "completed"),
    ]


def test_all_is_well(tour: Tour) -> None:
    assert {finding["state"] for finding in tour.document("doctor")} == {"ok"}


def test_no_secret_was_printed(tour: Tour) -> None:
    printed = "".join(ran.output + ran.errors for ran in tour.ran.values())
    assert [name for name, value in SECRETS.items() if value in printed] == []


async def test_applied_again_nothing_changes_and_a_change_is_shown(tour: Tour) -> None:
    again = await tour.tieline("apply", str(tour.file), "-o", "json")
    tour.file.write_text(tour.file.read_text().replace("scopes: [read]", "scopes: [read, write]"))
    changed = await tour.tieline("apply", str(tour.file))

    assert {change["action"] for change in json.loads(again.output)["changes"]} == {"unchanged"}
    assert "integration twitter: updated" in changed.output
    assert "\n  +  - write\n" in changed.output


async def test_an_integration_shows_what_an_account_needs_and_what_all_share(tour: Tour) -> None:
    table = await tour.tieline("integrations", "show", "twitter")
    document = json.loads((await tour.tieline("integrations", "show", "twitter", "-o", "json")).output)

    assert "shared by all accounts  client_id, client_secret" in table.output
    assert document["secrets"] == [{"name": name, "optional": False} for name in ("client_id", "client_secret")]
    assert document["shared_secrets"] == ["client_id", "client_secret"]
    assert document["definition"]["auth"]["scopes"][0] == "read"


async def test_an_account_shows_its_secrets_by_name_and_where_it_is_bound(tour: Tour) -> None:
    shown = json.loads((await tour.tieline("accounts", "show", "giphy-main", "-o", "json")).output)
    listed = json.loads((await tour.tieline("accounts", "list", "-o", "json")).output)

    assert (shown["secrets"], shown["bound_in"], shown["state"]) == (["token"], ["production/gifs"], "active")
    assert [account["name"] for account in listed] == ["giphy-main", "twitter-main"]


async def test_an_account_that_is_bound_is_deleted_only_after_its_adapter_is_unset(tour: Tour) -> None:
    await tour.tieline("accounts", "create", "spare", "--integration", "twitter")
    await tour.tieline("profiles", "set", "qa", "social", "spare")

    refused = await tour.tieline("accounts", "delete", "spare", "--yes")
    unset = await tour.tieline("profiles", "unset", "qa", "social")
    deleted = await tour.tieline("accounts", "delete", "spare", "--yes", "-o", "json")

    assert refused.status == 2
    assert "is bound in qa/social" in refused.errors
    assert unset.output == "profile qa: adapter social is bound no more\n"
    assert json.loads(deleted.output) == {"deleted": "spare"}


async def test_one_end_user_is_bound_and_unbound_without_touching_others(tour: Tour) -> None:
    await tour.tieline("profiles", "set", "qa", "mine", "giphy-main", "--subject", "ada")
    await tour.tieline("profiles", "set", "qa", "mine", "giphy-main", "--subject", "bob")
    search = ("call", "mine", "GET", "v1/gifs/search?q=cat", "--profile", "qa", "--extract", "meta.status", "--subject")

    before = await tour.tieline(*search, "ada")
    await tour.tieline("profiles", "unset", "qa", "mine", "--subject", "ada")
    ada, bob = await tour.tieline(*search, "ada"), await tour.tieline(*search, "bob")

    assert (before.status, ada.status, bob.status) == (0, 2, 0)
    assert "Next step: tieline profiles set qa mine ACCOUNT --subject ada" in ada.errors


async def test_a_profile_shows_adapters_and_variables(tour: Tour) -> None:
    await tour.tieline("profiles", "set-variable", "dev", "region", "eu")
    await tour.tieline("profiles", "set", "dev", "gifs", "giphy-main")

    table = await tour.tieline("profiles", "show", "dev")
    listed = json.loads((await tour.tieline("profiles", "list", "-o", "json")).output)

    assert [line.split() for line in table.output.splitlines()] == [
        ["ADAPTER", "ACCOUNT", "INTEGRATION"],
        ["gifs", "giphy-main", "giphy"],
        [],
        ["VARIABLE", "VALUE"],
        ["region", "eu"],
    ]
    assert next(profile["name"] for profile in listed) == "dev"


async def test_a_new_secret_is_used_by_the_next_call(tour: Tour) -> None:
    late = ("accounts", "create", "giphy-late", "--integration", "giphy", "--secret", "token=-")
    await tour.tieline(*late, stdin=b"mistyped-key")
    await tour.tieline("profiles", "set", "qa", "late", "giphy-late")
    search = ("call", "late", "GET", "v1/gifs/search?q=cat", "--profile", "qa")

    refused = await tour.tieline(*search)
    changed = await tour.tieline("accounts", "set-secrets", "giphy-late", "--secret", "token=env:TEST_GIPHY_TOKEN")
    works = await tour.tieline(*search)

    assert (refused.status, works.status) == (1, 0)
    assert changed.output == "account giphy-late: stored token\n"
