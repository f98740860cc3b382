"""Connected accounts, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from auth.accounts import AccountError
from auth.secret import SecretError
from definitions.loading import load_text
from storage.accounts import ACTIVE, NEEDS_RECONNECT, set_account_state
from storage.bindings import account_of_subject, bind_subject
from storage.errors import AlreadyExists, NotFound
from storage.schema import accounts, tokens, vault_records
from tests.fixtures.refreshing import Bench

CANARY = "planted-4f1c9a77"
LOGIN = {"username": "ann", "password": CANARY}
DEFINITIONS = """
kind: integration
key: crm
name: CRM
base_url: "https://{region}.crm.example/{tenant}"
parameters: {region: {pattern: '[a-z]{2}', default: eu}, tenant: {}}
auth: {type: basic}
---
kind: integration
key: giphy
name: GIPHY
base_url: "https://giphy.example"
auth:
  type: api_token
  place: [{in: header, name: X-Key, value: "{token} {app}"}]
secrets: {app: {}}
---
kind: integration
key: bank
name: Bank
base_url: "https://bank.example"
auth: {type: none}
secrets: {card: {}, card_key: {}, authority: {optional: true}}
tls: {ca_secret: authority, client_certificate_secret: card, client_key_secret: card_key}
"""
TENANT = {"tenant": "acme"}


@pytest.fixture
async def defined(bench: Bench) -> Bench:
    await bench.definitions.apply(load_text(DEFINITIONS, "test.yaml"))
    return bench


async def bind(bench: Bench, account: str, adapter: str = "crm", profile: str = "production") -> None:
    await bench.definitions.apply(
        load_text(f"kind: profile\nname: {profile}\nadapters: {{{adapter}: {account}}}", "profile.yaml")
    )


async def secrets_of(bench: Bench, name: str) -> Mapping[str, str]:
    credential = await bench.resolver().resolve_account(name)
    return {field: secret.reveal() for field, secret in credential.values.items()}


async def rows(bench: Bench) -> Mapping[str, int]:
    async with bench.database.read() as connection:
        return {
            table.name: await connection.scalar(select(func.count()).select_from(table)) or 0
            for table in (accounts, tokens, vault_records)
        }


NOTHING = {"accounts": 0, "tokens": 0, "vault_records": 0}


async def test_an_account_is_created_with_defaults_and_shows_no_secret(defined: Bench) -> None:
    created = await defined.accounts.create("crm-main", "crm", TENANT, LOGIN)

    assert created == await defined.accounts.get("crm-main")
    assert created.parameters == {"region": "eu", "tenant": "acme"}
    assert (created.integration, created.state, created.cause, created.version) == ("crm", ACTIVE, None, 1)
    assert 1_700_000_000 < created.created_at <= created.updated_at < created.created_at + 60
    assert CANARY not in repr(created)
    assert (await secrets_of(defined, "crm-main"))["password"] == CANARY


async def test_the_secrets_that_tls_is_told_to_use_may_have_lines(defined: Bench) -> None:
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

    await defined.accounts.create("bank-main", "bank", {}, {"card": pem, "card_key": pem, "authority": pem})

    assert set((await secrets_of(defined, "bank-main")).values()) == {pem}


async def test_a_short_secret_is_saved_with_a_warning_that_does_not_show_it(
    defined: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await defined.accounts.create("crm-main", "crm", TENANT, {"username": "ann", "password": "abc1234"})

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.text.count("secret 'password' has fewer than 8 characters") == 1
    assert "abc1234" not in caplog.text
    assert (await secrets_of(defined, "crm-main"))["password"] == "abc1234"


async def test_a_secret_of_eight_characters_is_saved_without_a_warning(
    defined: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await defined.accounts.create("crm-main", "crm", TENANT, {"username": "ann", "password": "abc12345"})

    assert caplog.text == ""


async def test_accounts_are_listed_by_name(defined: Bench) -> None:
    for name in ("crm-b", "crm-c", "crm-a"):
        await defined.accounts.create(name, "crm", TENANT, LOGIN)

    assert [account.name for account in await defined.accounts.list()] == ["crm-a", "crm-b", "crm-c"]


@pytest.mark.parametrize(
    ("name", "integration", "parameters", "secrets", "told"),
    [
        ("", "crm", TENANT, LOGIN, "account name ''"),
        ("crm main", "crm", TENANT, LOGIN, "account name 'crm main'"),
        ("../crm", "crm", TENANT, LOGIN, "account name"),
        ("-crm", "crm", TENANT, LOGIN, "account name"),
        ("crm\n", "crm", TENANT, LOGIN, "account name"),
        ("krämer", "crm", TENANT, LOGIN, "account name"),
        ("a" * 65, "crm", TENANT, LOGIN, "at most 64"),
        ("main", "crn", TENANT, LOGIN, "no integration 'crn'; did you mean 'crm'?"),
        ("main", "crm", {}, LOGIN, "needs parameter 'tenant': --param tenant=VALUE"),
        ("main", "crm", TENANT | {"regoin": "eu"}, LOGIN, "no parameter 'regoin'; did you mean 'region'?"),
        ("main", "crm", TENANT | {"region": "EU"}, LOGIN, "'region' does not match its pattern [a-z]{2}"),
        ("main", "crm", TENANT | {"region": "eu\n"}, LOGIN, "'region' does not match its pattern"),
        ("main", "crm", TENANT, {}, "needs secret username, password: --secret username=env:VARIABLE"),
        ("main", "crm", TENANT, {"username": "ann"}, "needs secret password: --secret password=env:VARIABLE"),
        ("main", "crm", TENANT, LOGIN | {"pasword": CANARY}, "no secret 'pasword'; did you mean 'password'?"),
        ("main", "crm", TENANT, LOGIN | {"password": f"{CANARY}\n"}, "'password' ends with a line break"),
    ],
)
async def test_a_wrong_input_is_told_and_leaves_nothing_behind(
    defined: Bench, name: str, integration: str, parameters: dict[str, str], secrets: dict[str, str], told: str
) -> None:
    with pytest.raises((AccountError, SecretError, NotFound)) as caught:
        await defined.accounts.create(name, integration, parameters, secrets)

    assert told in str(caught.value)
    assert CANARY not in repr(caught.value)
    assert await rows(defined) == NOTHING


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (f"{CANARY}\n", "ends with a line break: write it without"),
        (f"{CANARY}\r\n", "ends with a line break"),
        (f"{CANARY}\0", "holds a NUL character"),
        (f"{CANARY}\u00fc", "holds a character outside ASCII"),
        (f"{CANARY}\u2019", "holds a character outside ASCII"),
    ],
)
async def test_an_api_key_with_a_line_break_a_nul_or_non_ascii_is_refused_unseen_wherever_it_is_saved(
    defined: Bench, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], key: str, fault: str
) -> None:
    await defined.accounts.create("giphy", "giphy", {}, {"token": "key-1", "app": "app-1"})
    before = await defined.accounts.get("giphy")

    for saved in (
        defined.accounts.create("giphy-2", "giphy", {}, {"token": key, "app": "app-1"}),
        defined.accounts.set_secrets("giphy", {"app": "app-2", "token": key}),
        defined.accounts.set_integration_secrets("giphy", {"app": "app-2", "token": key}),
    ):
        with pytest.raises(SecretError, match=f"secret 'token' {fault}") as caught:
            await saved
        assert CANARY not in repr(caught.value)

    assert await defined.accounts.list() == [before]
    assert await secrets_of(defined, "giphy") == {"token": "key-1", "app": "app-1"}
    assert CANARY not in caplog.text + "".join(capsys.readouterr())


async def test_one_of_many_who_create_the_same_account_at_once_succeeds(defined: Bench) -> None:
    outcomes = await asyncio.gather(
        *(defined.accounts.create("crm-main", "crm", TENANT, LOGIN) for _ in range(6)), return_exceptions=True
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert {type(outcome) for outcome in refused} == {AlreadyExists}
    assert "account 'crm-main' exists already" in str(refused[0])
    assert len(refused) == 5
    assert await rows(defined) == {"accounts": 1, "tokens": 1, "vault_records": 2}


async def test_an_account_that_is_not_there_is_told_with_what_was_meant(defined: Bench) -> None:
    await defined.accounts.create("crm-main", "crm", TENANT, LOGIN)

    for asked in (
        defined.accounts.get("crm-mian"),
        defined.accounts.set_secrets("crm-mian", LOGIN),
        defined.accounts.delete("crm-mian"),
    ):
        with pytest.raises(NotFound, match=r"no account 'crm-mian'; did you mean 'crm-main'\?"):
            await asked
    with pytest.raises(NotFound, match=r"no integration 'crn'; did you mean 'crm'\?"):
        await defined.accounts.set_integration_secrets("crn", LOGIN)


async def test_new_secrets_replace_those_that_are_named_and_count_a_version(defined: Bench) -> None:
    await defined.accounts.create("crm-main", "crm", TENANT, LOGIN)

    second = await defined.accounts.set_secrets("crm-main", {"password": "planted-2"})
    third = await defined.accounts.set_secrets("crm-main", {"username": "bob"})

    assert (second.version, third.version) == (2, 3)
    found = await secrets_of(defined, "crm-main")
    assert (found["username"], found["password"]) == ("bob", "planted-2")


async def test_new_secrets_bring_an_account_back_that_had_to_be_reconnected(defined: Bench) -> None:
    created = await defined.accounts.create("crm-main", "crm", TENANT, LOGIN)
    async with defined.database.write() as connection:
        await set_account_state(connection, created.id, NEEDS_RECONNECT, "invalid_grant")
    assert (await defined.accounts.get("crm-main")).cause == "invalid_grant"

    revived = await defined.accounts.set_secrets("crm-main", {"password": "planted-2"})

    assert (revived.state, revived.cause) == (ACTIVE, None)


async def test_secrets_of_an_integration_are_shared_and_an_accounts_own_go_before_them(defined: Bench) -> None:
    assert await defined.accounts.set_integration_secrets("giphy", {"app": "shared"}) == []
    await defined.accounts.create("giphy-a", "giphy", {}, {"token": "a"})
    await defined.accounts.create("giphy-b", "giphy", {}, {"token": "b", "app": "own"})
    await defined.accounts.create("crm-main", "crm", TENANT, LOGIN)

    touched = await defined.accounts.set_integration_secrets("giphy", {"app": "shared-2"})

    assert [(account.name, account.version) for account in touched] == [("giphy-a", 2), ("giphy-b", 2)]
    assert (await defined.accounts.get("crm-main")).version == 1
    assert await secrets_of(defined, "giphy-a") == {"token": "a", "app": "shared-2"}
    assert await secrets_of(defined, "giphy-b") == {"token": "b", "app": "own"}
    await defined.accounts.set_secrets("giphy-a", {"app": "own-too"})
    assert (await secrets_of(defined, "giphy-a"))["app"] == "own-too"


async def test_what_is_still_missing_takes_shared_secrets_into_account(defined: Bench) -> None:
    giphy = await defined.definitions.integration("giphy")

    assert await defined.accounts.missing_secrets(giphy, []) == ["token", "app"]
    await defined.accounts.set_integration_secrets("giphy", {"app": "shared"})
    assert await defined.accounts.missing_secrets(giphy, []) == ["token"]
    assert await defined.accounts.missing_secrets(giphy, ["token"]) == []


async def test_a_deleted_account_leaves_nothing_and_frees_its_name(defined: Bench) -> None:
    first = await defined.accounts.create("crm-main", "crm", TENANT, LOGIN)
    async with defined.database.write() as connection:
        await defined.vault.put(connection, "tokens", first.id, "token", 1, b"a token")
        await bind_subject(connection, "production", "crm", "user-1", first.id)

    await defined.accounts.delete("crm-main")

    assert await rows(defined) == NOTHING
    async with defined.database.read() as connection:
        assert await account_of_subject(connection, "production", "crm", "user-1") is None
    assert (await defined.accounts.create("crm-main", "crm", TENANT, LOGIN)).id != first.id


async def test_an_account_is_not_deleted_while_a_profile_binds_it(defined: Bench) -> None:
    for name in ("crm-main", "crm-next"):
        await defined.accounts.create(name, "crm", TENANT, LOGIN)
    await bind(defined, "crm-main")
    await bind(defined, "crm-main", adapter="backup", profile="dev")
    assert await defined.accounts.bindings_of("crm-main") == ["dev/backup", "production/crm"]

    with pytest.raises(AccountError, match=r"bound in dev/backup, production/crm: .*tieline profiles set dev backup"):
        await defined.accounts.delete("crm-main")
    assert (await secrets_of(defined, "crm-main"))["password"] == CANARY

    await bind(defined, "crm-next")
    await bind(defined, "crm-next", adapter="backup", profile="dev")
    await defined.accounts.delete("crm-main")
    assert [account.name for account in await defined.accounts.list()] == ["crm-next"]


async def test_an_account_that_several_delete_at_once_is_deleted_once(defined: Bench) -> None:
    await defined.accounts.create("crm-main", "crm", TENANT, LOGIN)

    outcomes = await asyncio.gather(*(defined.accounts.delete("crm-main") for _ in range(4)), return_exceptions=True)

    assert [outcome for outcome in outcomes if outcome is None] == [None]
    assert {type(outcome) for outcome in outcomes if outcome is not None} == {NotFound}
    assert await rows(defined) == NOTHING


async def test_changes_of_the_same_accounts_at_once_all_count_and_none_fails(defined: Bench) -> None:
    """Each takes several locks; in differing orders PostgreSQL would end one of them."""
    for name in ("giphy-a", "giphy-b"):
        await defined.accounts.create(name, "giphy", {}, {"token": "t", "app": "a"})

    await asyncio.gather(
        *(defined.accounts.set_secrets(name, {"token": f"t{n}", "app": f"a{n}"}) for n in range(4) for name in AB),
        *(defined.accounts.set_secrets(name, {"app": f"a{n}", "token": f"t{n}"}) for n in range(4) for name in AB),
        *(defined.accounts.set_integration_secrets("giphy", {"app": f"shared{n}"}) for n in range(4)),
        defined.vault.rotate(batch=1),
    )

    assert [account.version for account in await defined.accounts.list()] == [13, 13]
    found = await secrets_of(defined, "giphy-a")
    assert found["token"][1:] == found["app"][1:], "of one change, not of two"


AB = ("giphy-a", "giphy-b")


async def test_shared_secrets_that_several_save_at_once_are_those_of_one_of_them(defined: Bench) -> None:
    await asyncio.gather(
        *(defined.accounts.set_integration_secrets("giphy", {"token": f"t{n}", "app": f"a{n}"}) for n in range(6)),
        *(defined.accounts.set_integration_secrets("giphy", {"app": f"a{n}", "token": f"t{n}"}) for n in range(6)),
    )

    await defined.accounts.create("giphy-a", "giphy", {}, {})
    found = await secrets_of(defined, "giphy-a")
    assert found["token"][1:] == found["app"][1:], "of one change, not of two"


async def test_deleting_an_account_and_changing_it_at_once_is_in_one_order_or_the_other(defined: Bench) -> None:
    await defined.accounts.create("crm-main", "crm", TENANT, LOGIN)

    changed, deleted = await asyncio.gather(
        defined.accounts.set_secrets("crm-main", {"password": "planted-2"}),
        defined.accounts.delete("crm-main"),
        return_exceptions=True,
    )

    assert deleted is None
    assert isinstance(changed, NotFound) or getattr(changed, "version", None) == 2
    assert await rows(defined) == NOTHING


async def everything_on_disk(bench: Bench) -> list[Path]:
    """All files of the database, its write-ahead log among them."""
    if bench.database.dialect == "sqlite":
        return [path for path in Path(bench.database.engine.url.database or "").parent.iterdir() if path.is_file()]
    async with bench.database.write() as connection:
        folder = Path(await connection.scalar(text("SHOW data_directory")) or "")
        database = await connection.scalar(text("SELECT oid::text FROM pg_database WHERE datname = current_database()"))
        await connection.execute(text("CHECKPOINT"))
    return [path for part in (f"base/{database}", "pg_wal") for path in (folder / part).rglob("*") if path.is_file()]


async def test_no_secret_stands_in_clear_in_any_file_of_the_database(defined: Bench) -> None:
    await defined.accounts.create("findable-7c1e", "crm", TENANT, LOGIN)
    await defined.accounts.set_secrets("findable-7c1e", {"password": f"{CANARY}-2"})
    await defined.accounts.set_integration_secrets("giphy", {"app": f"{CANARY}-3"})

    files = [path.read_bytes() for path in await everything_on_disk(defined)]

    assert any(b"findable-7c1e" in content for content in files), "what is not secret can be found like this"
    assert not any(CANARY.encode() in content for content in files)


async def test_nothing_is_due_for_an_account_that_never_had_a_token(defined: Bench) -> None:
    """It was told to be overdue since 1970 until the next sweep looked."""
    account = await defined.accounts.create("crm", "crm", TENANT, LOGIN)
    await defined.accounts.set_secrets("crm", {"password": "another-planted-4f1c"})

    async with defined.database.read() as connection:
        due = await connection.scalar(select(tokens.c.refresh_at).where(tokens.c.account_id == account.id))
    assert due is None
