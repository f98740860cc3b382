"""Applied definitions, on SQLite and on PostgreSQL: versions, differences, warnings."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from auth.errors import Misconfigured
from definitions.loading import load_paths, load_text
from storage.definitions import Change, DefinitionStore
from storage.errors import NotFound, UnreadableDefinition
from storage.schema import definition_versions, definitions
from tests.fixtures.refreshing import Bench

DEMO = Path(__file__).parents[2] / "examples" / "demo"
CRM = """
kind: integration
key: crm
name: CRM
base_url: "https://crm.example"
auth: {type: basic}
send: {headers: {X-One: "1", X-Two: "2"}}
"""
REORDERED = """
send:
  headers:
    X-Two: '2'
    X-One: '1'
auth:
    type: basic
base_url: https://crm.example
name: CRM
key: crm
unauthorized: [401]
kind: integration
"""
RENAMED = CRM.replace("name: CRM", "name: The CRM")
PROFILE = "kind: profile\nname: production\nadapters: {crm: crm-main}\n"


async def apply(bench: Bench, text: str, *, dry_run: bool = False) -> list[Change]:
    return list(await bench.definitions.apply(load_text(text, "test.yaml"), dry_run=dry_run))


async def applied(bench: Bench, text: str) -> Change:
    [change] = await apply(bench, text)
    return change


def another_process(bench: Bench) -> DefinitionStore:
    """A store that has read nothing yet."""
    return DefinitionStore(bench.database)


async def stored(bench: Bench) -> int:
    async with bench.database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(definition_versions)) or 0


async def test_a_document_is_created_then_unchanged_then_updated(bench: Bench) -> None:
    first, again, renamed = [await applied(bench, text) for text in (CRM, CRM, RENAMED)]

    assert [change.action for change in (first, again, renamed)] == ["created", "unchanged", "updated"]
    assert first.version == again.version != renamed.version
    assert (await another_process(bench).integration("crm")).name == "The CRM"
    assert await stored(bench) == 2


async def test_the_difference_is_shown_as_yaml(bench: Bench) -> None:
    created, changed = await applied(bench, CRM), await applied(bench, RENAMED)

    assert "+name: CRM" in created.diff.splitlines()
    assert [line for line in changed.diff.splitlines() if line[0] in "+-"] == [
        "--- crm (in force)",
        "+++ crm (new)",
        "-name: CRM",
        "+name: The CRM",
    ]
    assert (await applied(bench, RENAMED)).diff == ""


async def test_order_style_and_spelled_out_defaults_make_no_new_version(bench: Bench) -> None:
    first = await applied(bench, CRM)
    second = await applied(bench, REORDERED)

    assert (second.action, second.version) == ("unchanged", first.version)


async def test_a_version_is_the_hash_of_what_is_stored(bench: Bench) -> None:
    """Whoever reads the database can check that nothing was changed in place."""
    change = await applied(bench, CRM)
    async with bench.database.read() as connection:
        document = (await connection.scalar(select(definition_versions.c.document))) or ""

    assert hashlib.sha256(document.encode()).hexdigest() == change.version
    assert list(json.loads(document)) == sorted(json.loads(document))


async def test_an_earlier_version_can_be_put_into_force_again(bench: Bench) -> None:
    first, second = await applied(bench, CRM), await applied(bench, RENAMED)
    back = await applied(bench, CRM)

    assert (back.action, back.version) == ("updated", first.version)
    versions = await bench.definitions.versions("integration", "crm")
    assert [(each.version, each.in_force) for each in versions] == [(second.version, False), (first.version, True)]
    assert versions[0].created_at >= versions[1].created_at > 1_700_000_000
    assert (await another_process(bench).integration("crm")).name == "CRM"


async def test_a_dry_run_tells_the_same_and_writes_nothing(bench: Bench) -> None:
    text = f"{CRM}---\n{PROFILE}"
    told = await apply(bench, text, dry_run=True)
    assert await stored(bench) == 0
    assert await bench.definitions.list("integration") == []

    assert await apply(bench, text) == told
    assert [change.action for change in await apply(bench, RENAMED, dry_run=True)] == ["updated"]
    assert (await bench.definitions.integration("crm")).name == "CRM"


async def test_documents_are_applied_all_or_none(bench: Bench) -> None:
    crm, profile = load_text(CRM, "test.yaml"), load_text(PROFILE, "test.yaml")
    with pytest.raises(IntegrityError):  # the loader refuses one document twice; the store notices it halfway
        await bench.definitions.apply([*crm, *profile, *profile])

    assert await stored(bench) == 0
    assert await bench.definitions.list("integration") == []


async def test_every_definition_of_the_demo_reads_back_as_it_was_written(bench: Bench) -> None:
    documents = load_paths([DEMO])
    await bench.definitions.apply(documents)
    fresh = another_process(bench)

    assert len(documents) > 2
    for document in documents:
        assert await fresh.get(document.model.kind, document.key) == document.model
    assert {change.action for change in await fresh.apply(documents)} == {"unchanged"}


async def test_many_who_apply_the_same_at_once_make_one_version(bench: Bench) -> None:
    changes = [
        change
        for [change] in await asyncio.gather(
            *(another_process(bench).apply(load_text(CRM, "test.yaml")) for _ in range(6))
        )
    ]

    assert sorted(change.action for change in changes) == ["created", *["unchanged"] * 5]
    assert await stored(bench) == 1


async def test_different_changes_at_once_end_with_one_of_them_in_force_and_all_kept(bench: Bench) -> None:
    texts = [f"{CRM.replace('name: CRM', f'name: CRM {n}')}---\n{PROFILE}" for n in range(6)]
    reversed_texts = ["---\n".join(reversed(text.split("---\n"))) for text in texts]
    await asyncio.gather(*(apply(bench, text) for text in [*texts[::2], *reversed_texts[1::2]]))

    versions = await bench.definitions.versions("integration", "crm")
    assert len(versions) == 6
    assert [each.in_force for each in versions].count(True) == 1


async def test_what_is_not_there_is_told_with_what_was_meant(bench: Bench) -> None:
    await apply(bench, f"{CRM}---\n{PROFILE}")

    with pytest.raises(NotFound, match=r"no integration 'crn'; did you mean 'crm'\?"):
        await bench.definitions.integration("crn")
    with pytest.raises(NotFound, match=r"no profile 'x'; known: production"):
        await bench.definitions.profile("x")
    with pytest.raises(NotFound, match=r"no profile 'crm'"):
        await bench.definitions.get("profile", "crm")
    assert await bench.definitions.list("integration") == ["crm"]
    assert await bench.definitions.list("profile") == ["production"]


async def test_a_running_process_sees_what_another_one_applied(bench: Bench) -> None:
    await applied(bench, CRM)
    running = another_process(bench)
    assert (await running.integration("crm")).name == "CRM"
    await applied(bench, RENAMED)

    assert (await running.integration("crm")).name == "The CRM"


async def test_a_profile_that_binds_an_account_that_is_not_there_is_applied_with_a_warning(bench: Bench) -> None:
    [_, profile] = await apply(bench, f"{CRM}---\n{PROFILE}")
    assert profile.action == "created"
    assert profile.warnings == (
        "account 'crm-main' does not exist yet: tieline accounts create crm-main --integration KEY",
    )

    await bench.accounts.create("crm-main", "crm", {}, {"username": "ann", "password": "planted"})
    assert (await applied(bench, PROFILE)).warnings == ()


async def test_another_kind_of_authentication_names_the_accounts_that_lack_secrets_now(bench: Bench) -> None:
    await applied(bench, CRM)
    for name in ("crm-a", "crm-b"):
        await bench.accounts.create(name, "crm", {}, {"username": "ann", "password": "planted"})
    token = CRM.replace(
        "auth: {type: basic}", "auth: {type: api_token, place: [{in: header, name: X, value: '{token}'}]}"
    )

    [told] = await apply(bench, token, dry_run=True)
    change = await applied(bench, token)

    assert told == change
    assert change.action == "updated"
    assert change.warnings == tuple(
        f"account '{name}' lacks secret token: tieline accounts set-secrets {name} --secret token=env:VARIABLE"
        for name in ("crm-a", "crm-b")
    )
    await bench.accounts.set_secrets("crm-a", {"token": "planted-2"})
    assert [warning[:15] for warning in (await applied(bench, token)).warnings] == ["account 'crm-b'"]
    await bench.accounts.set_integration_secrets("crm", {"token": "planted-3"})
    assert (await applied(bench, token)).warnings == ()


async def test_a_new_parameter_without_a_default_names_the_accounts_that_lack_it(bench: Bench) -> None:
    await applied(bench, CRM)
    await bench.accounts.create("crm-main", "crm", {}, {"username": "ann", "password": "planted"})
    tenants = CRM.replace("crm.example", "crm.example/{tenant}") + "parameters: {tenant: {}}\n"

    assert (await applied(bench, tenants)).warnings == (
        "account 'crm-main' lacks parameter tenant: create it again, or give a default",
    )
    assert (await applied(bench, tenants.replace("{tenant: {}}", "{tenant: {default: acme}}"))).warnings == ()


async def test_a_definition_of_another_version_of_the_program_is_told_and_can_be_replaced(bench: Bench) -> None:
    await applied(bench, CRM)
    await bench.accounts.create("crm-main", "crm", {}, {"username": "ann", "password": "planted"})
    async with bench.database.write() as connection:
        await connection.execute(
            update(definition_versions).values(document='{"kind":"integration","key":"crm","since_next_year":1}')
        )
    told = "integration 'crm' was applied with another version of Tieline, which this one cannot read: apply it again"
    with pytest.raises(UnreadableDefinition, match=told):
        await another_process(bench).integration("crm")
    resolver = bench.resolver()
    resolver._definitions = another_process(bench)
    with pytest.raises(Misconfigured, match=told):
        await resolver.resolve_account("crm-main")

    [change] = await another_process(bench).apply(load_text(RENAMED, "test.yaml"))

    assert change.action == "updated"
    assert (await another_process(bench).integration("crm")).name == "The CRM"
    async with bench.database.read() as connection:
        assert await connection.scalar(select(definitions.c.version)) == change.version
