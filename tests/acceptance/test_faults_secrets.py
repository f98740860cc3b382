"""Secrets that cannot be used, cannot be read, or come back from a provider, each as a run or an operator meets them.

That none is found anywhere afterwards is shown in `test_canary`.
"""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from auth.secret import SecretError
from storage.accounts import Account
from storage.errors import NotFound
from tests.fixtures.processes import tieline_command
from tests.fixtures.told import JSON, KEY, Told, answer, failure, fresh

OTHER_KEYS = "another:" + "b3RoZXIga2V5IG9mIGV4YWN0bHkgMzIgYnl0ZXMgISE="

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("key-of-nobody\n", "ends with a line break"),
        ("key-of-nobody\r\n", "ends with a line break"),
        (" key-of-nobody", "begins or ends with white space"),
        ("key-of\nnobody", "holds a line break"),
        ("key-of-\0nobody", "holds a NUL character"),
        ("key-of-nöbody", "holds a character outside ASCII"),
        ("key-of-\udce4nobody", "holds bytes that are not text"),
        ("", "is empty"),
    ],
)
async def test_a_secret_that_no_request_can_carry_is_refused_when_it_is_saved_and_not_repeated(
    told: Told, value: str, fault: str
) -> None:
    name = fresh("unfit")
    with pytest.raises(SecretError) as caught:
        await told.account_at(name, "127.0.0.1:80", key=value)
    assert f"secret 'token' {fault}" in str(caught.value)
    assert "key-of" not in str(caught.value)
    with pytest.raises(NotFound):
        await told.tieline.stores.accounts.get(name)


async def test_a_key_in_the_query_is_not_in_the_failure_when_the_provider_quotes_it(told: Told) -> None:
    path, key = fresh("/quoting"), KEY["production"]
    quoted = f'{{"error": "GET {path}?api_key={key} is not served", "key": "{key}"}}'
    told.server.reply(f"/api{path}", 400, quoted.encode(), [*JSON, ("X-Request-Id", key)])
    found = failure(await told.call(path))
    assert found.excerpt is not None
    assert f"GET {path}?api_key=[redacted] is not served" in found.excerpt
    assert key not in found.model_dump_json()


async def test_a_key_in_the_query_is_not_in_the_result_when_the_provider_quotes_it(told: Told) -> None:
    path, key = fresh("/quoting"), KEY["production"]
    quoted = f'{{"next": "{path}?page=2&api_key={key}"}}'
    told.server.reply(f"/api{path}", 200, quoted.encode(), [*JSON, ("X-Request-Id", key), ("ETag", f'"{key}"')])
    found = answer(await told.call(path))
    assert found.body == {"next": f"{path}?page=2&api_key=[redacted]"}
    assert found.headers["x-request-id"] == "[redacted]"
    assert key not in found.model_dump_json()


# ---- stored secrets that cannot be read

Damage = Callable[[Told, Account, Account], Awaitable[None]]


async def flip_a_bit(told: Told, account: Account, other: Account) -> None:
    sealed = await _sealed(told, account)
    await _store(told, account, ciphertext=sealed[:-1] + bytes([sealed[-1] ^ 1]))


async def put_another_account_s_there(told: Told, account: Account, other: Account) -> None:
    await _store(told, account, ciphertext=await _sealed(told, other))


async def name_an_unknown_key(told: Told, account: Account, other: Account) -> None:
    await _store(told, account, kek_id="gone")


async def cut_it_short(told: Told, account: Account, other: Account) -> None:
    await _store(told, account, ciphertext=(await _sealed(told, account))[:40])


@pytest.mark.parametrize("damage", [flip_a_bit, put_another_account_s_there, name_an_unknown_key, cut_it_short])
async def test_a_stored_secret_that_was_damaged_stops_its_own_account_until_it_is_saved_again(
    told: Told, damage: Damage
) -> None:
    path, broken, whole = fresh("/damaged"), fresh("broken"), fresh("whole")
    told.server.reply(f"/api{path}", body=b"{}", headers=JSON)
    server = f"127.0.0.1:{told.server.port}"
    account = await told.account_at(broken, server, key="key-of-the-broken")
    other = await told.account_at(whole, server, key="key-of-the-whole")
    await damage(told, account, other)

    found = failure(await told.call(path, profile=broken))
    assert (found.category, found.verdict, found.actor) == ("unreadable", "final", "operator")
    assert account.id in found.message
    assert "set-secrets" in found.suggested_action
    assert answer(await told.call(path, profile=whole)).status == 200
    assert [request.header("X-Key") for request in told.server.to(f"/api{path}")] == ["key-of-the-whole"]

    await told.tieline.stores.accounts.set_secrets(broken, {"token": "key-of-the-mended"})
    assert answer(await told.call(path, profile=broken)).status == 200
    assert told.server.to(f"/api{path}")[-1].header("X-Key") == "key-of-the-mended"


async def test_no_worker_starts_without_the_key_of_what_is_stored(told: Told) -> None:
    ran = await tieline_command(told.tieline, "worker", keys=OTHER_KEYS)
    assert ran.status == 2
    assert ran.output == ""
    assert "TIELINE_KEYS" in ran.errors
    assert OTHER_KEYS.partition(":")[2] not in ran.errors


async def _sealed(told: Told, account: Account) -> bytes:
    query = text("SELECT ciphertext FROM vault_records WHERE record_id = :id")
    async with told.tieline.stores.database.read() as connection:
        sealed: bytes = (await connection.execute(query, {"id": account.id})).scalar_one()
    return sealed


async def _store(told: Told, account: Account, **columns: object) -> None:
    settings = ", ".join(f"{column} = :{column}" for column in columns)
    async with told.tieline.stores.database.write() as connection:
        await connection.execute(
            text(f"UPDATE vault_records SET {settings} WHERE record_id = :id"), {**columns, "id": account.id}
        )
