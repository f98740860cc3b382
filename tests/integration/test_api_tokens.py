"""Tokens of the HTTP API: shown once, kept as hashes, good for what and where they were made."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from auth.api_tokens import ApiTokenError, ApiTokens, Scope, TokenRefused, plain_address, token_id_of
from storage.database import Database, db_now
from storage.errors import AlreadyExists, NotFound, StorageError
from storage.schema import api_tokens

HERE = "127.0.0.1"


@pytest.fixture
def tokens(database: Database) -> ApiTokens:
    return ApiTokens(database)


async def test_a_token_is_accepted_with_the_scopes_it_was_made_for(tokens: ApiTokens) -> None:
    made, text = await tokens.create("shop", ["runs:read", "runs:start"])
    token = await tokens.verify(text, HERE)
    assert (token.id, token.name, token.scopes) == (made.id, "shop", (Scope.RUNS_START, Scope.RUNS_READ))


async def test_neither_the_token_nor_its_secret_part_is_stored(tokens: ApiTokens, database: Database) -> None:
    _, text = await tokens.create("shop", ["manage"])
    async with database.read() as connection:
        row = (await connection.execute(select(api_tokens))).one()
    stored = " ".join(map(str, row))
    assert text not in stored
    assert text.rpartition("_")[2] not in stored


async def test_a_token_with_another_secret_is_refused(tokens: ApiTokens) -> None:
    _, first = await tokens.create("first", ["manage"])
    _, second = await tokens.create("second", ["manage"])
    await tokens.revoke("second")
    swapped = first[: len("tieline_") + 12] + second[len("tieline_") + 12 :]
    with pytest.raises(TokenRefused, match="no token of Tieline's"):  # the checksum covers the id
        await tokens.verify(swapped, HERE)


async def test_a_token_of_another_installation_is_refused(tokens: ApiTokens, database: Database) -> None:
    made, text = await tokens.create("shop", ["manage"])
    async with database.write() as connection:
        await connection.execute(update(api_tokens).values(hash="0" * 64))
    with pytest.raises(TokenRefused, match=f"{made.id} is unknown"):
        await tokens.verify(text, HERE)


@pytest.mark.parametrize(
    "text", ["", "tieline_", "Bearer x", "tieline_0123456789ab_" + "a" * 49, "tieline_0123456789ab_" + "a" * 500]
)
async def test_what_is_no_token_is_refused_without_asking_the_database(text: str) -> None:
    nowhere = ApiTokens(Database("sqlite+aiosqlite:////nowhere/at/all.db"))
    with pytest.raises(TokenRefused, match="no token of Tieline's"):
        await nowhere.verify(text, HERE)


async def test_a_changed_character_is_noticed_by_the_checksum(tokens: ApiTokens) -> None:
    _, text = await tokens.create("shop", ["manage"])
    assert token_id_of(text) is not None
    changed = text[:30] + ("x" if text[30] != "x" else "y") + text[31:]
    assert token_id_of(changed) is None


async def test_a_revoked_token_is_refused_at_once_and_its_name_is_free_again(tokens: ApiTokens) -> None:
    _, old = await tokens.create("shop", ["runs:start"])
    await tokens.revoke("shop")
    _, new = await tokens.create("shop", ["runs:start"])
    with pytest.raises(TokenRefused, match="revoked"):
        await tokens.verify(old, HERE)
    assert (await tokens.verify(new, HERE)).name == "shop"


async def test_an_expired_token_is_refused(tokens: ApiTokens, database: Database) -> None:
    _, text = await tokens.create("shop", ["runs:start"], lifetime=timedelta(days=90))
    await tokens.verify(text, HERE)
    async with database.write() as connection:
        await connection.execute(update(api_tokens).values(expires_at=db_now() - 1))
    with pytest.raises(TokenRefused, match="expired"):
        await tokens.verify(text, HERE)


@pytest.mark.parametrize("address", ["10.0.0.7", "10.0.0.255", "::ffff:10.0.0.7", "2001:db8::1"])
async def test_a_token_is_good_from_the_networks_it_names(tokens: ApiTokens, address: str) -> None:
    _, text = await tokens.create("shop", ["runs:start"], allow=["10.0.0.0/24", "2001:db8::/32"])
    assert (await tokens.verify(text, address)).allow == ("10.0.0.0/24", "2001:db8::/32")


@pytest.mark.parametrize("address", ["10.0.1.7", "127.0.0.1", "::1", "", "somewhere"])
async def test_a_token_is_refused_from_anywhere_else(tokens: ApiTokens, address: str) -> None:
    _, text = await tokens.create("shop", ["runs:start"], allow=["10.0.0.0/24", "2001:db8::/32"])
    with pytest.raises(TokenRefused, match="may not be used from"):
        await tokens.verify(text, address)


async def test_a_use_is_noted_and_not_again_within_the_minute(tokens: ApiTokens) -> None:
    _, text = await tokens.create("shop", ["runs:start"])
    await tokens.verify(text, HERE)
    [first] = await tokens.list()
    await tokens.verify(text, HERE)
    [second] = await tokens.list()
    assert first.last_used_at is not None
    assert second.last_used_at == first.last_used_at


async def test_a_revoked_token_still_counts_as_one(tokens: ApiTokens) -> None:
    assert not await tokens.are_used()
    await tokens.create("shop", ["runs:start"])
    await tokens.revoke("shop")
    assert await tokens.are_used()


async def test_a_name_that_is_in_use_is_refused(tokens: ApiTokens) -> None:
    await tokens.create("shop", ["runs:start"])
    with pytest.raises(AlreadyExists, match="API token 'shop' exists already"):
        await tokens.create("shop", ["runs:read"])


async def test_revoking_what_is_not_there_says_what_is(tokens: ApiTokens) -> None:
    await tokens.create("shop", ["runs:start"])
    with pytest.raises(NotFound, match="did you mean 'shop'"):
        await tokens.revoke("shopp")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"name": "my shop"}, "letters, digits"),
        ({"scopes": []}, "needs a scope"),
        ({"scopes": ["runs:strat"]}, "Did you mean 'runs:start'"),
        ({"allow": ["10.0.0.1/24"]}, "write 10.0.0.7 or 10.0.0.0/24"),
        ({"allow": ["localhost"]}, "no address or network"),
        ({"lifetime": timedelta()}, "longer than no time"),
    ],
)
async def test_a_token_that_cannot_be_is_refused_with_what_to_write(
    tokens: ApiTokens, changed: dict[str, object], told: str
) -> None:
    arguments = {"name": "shop", "scopes": ["runs:start"], "allow": [], "lifetime": None} | changed
    with pytest.raises(ApiTokenError, match=told):
        await tokens.create(**arguments)  # type: ignore[arg-type]


def test_the_zone_of_an_address_does_not_matter() -> None:
    assert str(plain_address("fe80::1%eth0")) == "fe80::1"


async def test_what_no_database_can_hold_is_told_as_the_callers_fault(tokens: ApiTokens) -> None:
    with pytest.raises(StorageError):
        await tokens.revoke("a\0b")
