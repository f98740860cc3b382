"""Profiles that several change at the same time, on both databases."""

import asyncio

from definitions.profile import Profile
from storage.database import Database
from storage.definitions import DefinitionStore


async def test_edits_at_the_same_time_lose_nothing_of_each_other(database: Database) -> None:
    stores = [DefinitionStore(database) for _ in range(12)]

    def with_variable(number: int, before: Profile | None) -> Profile:
        variables = dict(before.variables) if before else {}
        return Profile(kind="profile", name="dev", variables={**variables, f"v{number}": "set"})

    await asyncio.gather(
        *(
            store.edit_profile("dev", lambda before, number=number: with_variable(number, before))  # type: ignore[misc]
            for number, store in enumerate(stores)
        )
    )
    assert sorted((await stores[0].profile("dev")).variables) == sorted(f"v{number}" for number in range(12))
