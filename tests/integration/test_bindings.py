"""Which account an end user of an app has, on SQLite and on PostgreSQL."""

import asyncio

import pytest
from sqlalchemy import func, select

from auth.errors import NoSubject, Unbound
from definitions.loading import load_text
from definitions.refs import CredentialRef
from storage.accounts import Account
from storage.bindings import MAX_SUBJECT, account_of_subject, bind_subject, unbind_subject
from storage.errors import NotFound, UnfitSubject
from storage.schema import subject_bindings
from tests.fixtures.refreshing import Bench

PROFILES = "".join(
    f"kind: profile\nname: {name}\nadapters: {{crm: {{per_subject: true}}}}\n---\n" for name in ("dev", "production")
)
SUBJECT = "user-1"


@pytest.fixture
async def accounts(bench: Bench) -> list[Account]:
    """Two of one integration; both profiles bind the adapter `crm` per subject."""
    await bench.define({"type": "basic"}, key="crm")
    await bench.definitions.apply(load_text(PROFILES, "test.yaml"))
    return [
        await bench.accounts.create(name, "crm", {}, {"username": name, "password": f"of-{name}"})
        for name in ("anns", "bobs")
    ]


async def bind(bench: Bench, account_id: str, subject: str = SUBJECT, profile: str = "production") -> None:
    async with bench.database.write() as connection:
        await bind_subject(connection, profile, "crm", subject, account_id)


async def bound(bench: Bench, subject: str = SUBJECT, profile: str = "production") -> str | None:
    async with bench.database.read() as connection:
        return await account_of_subject(connection, profile, "crm", subject)


def ref(subject: str | None, profile: str = "production") -> CredentialRef:
    return CredentialRef(adapter="crm", profile=profile, subject=subject)


async def test_each_subject_gets_the_credential_of_its_own_account(bench: Bench, accounts: list[Account]) -> None:
    anns, bobs = accounts
    await bind(bench, anns.id, "ann")
    await bind(bench, bobs.id, "bob")
    resolver = bench.resolver()

    assert (await resolver.resolve(ref("ann"))).values["password"].reveal() == "of-anns"
    assert (await resolver.resolve(ref("bob"))).values["password"].reveal() == "of-bobs"


async def test_a_binding_counts_for_its_profile_and_its_subject_only(bench: Bench, accounts: list[Account]) -> None:
    await bind(bench, accounts[0].id)

    assert await bound(bench) == "anns"
    assert await bound(bench, profile="dev") is None
    assert await bound(bench, subject="USER-1") is None
    with pytest.raises(Unbound, match=r"no account for subject 'user-2' in profile 'production'"):
        await bench.resolver().resolve(ref("user-2"))
    with pytest.raises(NoSubject):
        await bench.resolver().resolve(ref(None))


async def test_a_subject_is_bound_to_another_account_in_place_of_the_first(
    bench: Bench, accounts: list[Account]
) -> None:
    for account in accounts:
        await bind(bench, account.id)

    assert await bound(bench) == "bobs"


async def test_a_subject_can_be_unbound(bench: Bench, accounts: list[Account]) -> None:
    await bind(bench, accounts[0].id)
    await bind(bench, accounts[0].id, "user-2")
    async with bench.database.write() as connection:
        await unbind_subject(connection, "production", "crm", SUBJECT)

    assert await bound(bench) is None
    assert await bound(bench, "user-2") == "anns"


@pytest.mark.parametrize("subject", ["Zoë Ørsted", "auth0|5f7c8ec7", "a@b.example", "x" * MAX_SUBJECT, "'; --"])
async def test_a_subject_is_any_printable_text(bench: Bench, accounts: list[Account], subject: str) -> None:
    await bind(bench, accounts[0].id, subject)

    assert await bound(bench, subject) == "anns"


@pytest.mark.parametrize("subject", ["", "x" * (MAX_SUBJECT + 1), "a\0b", "a\nb", "\udcff"])
async def test_a_subject_that_the_database_cannot_hold_is_refused_alike(
    bench: Bench, accounts: list[Account], subject: str
) -> None:
    with pytest.raises(UnfitSubject, match="printable text of 1 to 255 characters"):
        await bind(bench, accounts[0].id, subject)
    with pytest.raises(Unbound):
        await bench.resolver().resolve(ref(subject))


async def test_an_account_that_is_gone_cannot_be_bound(bench: Bench, accounts: list[Account]) -> None:
    await bench.accounts.delete("anns")

    with pytest.raises(NotFound, match="there is no account"):
        await bind(bench, accounts[0].id)


async def test_binding_and_deleting_at_once_leaves_no_binding_to_nothing(bench: Bench, accounts: list[Account]) -> None:
    outcomes = await asyncio.gather(
        *(bind(bench, accounts[0].id, f"user-{number}") for number in range(4)),
        bench.accounts.delete("anns"),
        *(bind(bench, accounts[0].id, f"user-{number}") for number in range(4, 8)),
        return_exceptions=True,
    )

    assert outcomes[4] is None
    assert {type(outcome) for outcome in outcomes if outcome is not None} <= {NotFound}
    async with bench.database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(subject_bindings)) == 0


async def test_many_bindings_of_one_subject_at_once_end_with_one(bench: Bench, accounts: list[Account]) -> None:
    await asyncio.gather(*(bind(bench, account.id) for account in accounts * 4))

    assert await bound(bench) in {"anns", "bobs"}
    async with bench.database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(subject_bindings)) == 1
