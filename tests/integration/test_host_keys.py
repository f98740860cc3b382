"""What people confirm of the keys of SFTP servers, on SQLite and on PostgreSQL."""

import asyncssh
import pytest
import pytest_asyncio

from auth.accounts import AccountError
from auth.host_key_lines import HostKeyError, fingerprint
from auth.host_keys import HostKeys
from definitions.loading import load_text
from definitions.sftp import HostKeyChange
from tests.fixtures.refreshing import Bench

POLICIES = ("pinned", "confirm_first", "known_hosts", "insecure")
SECRETS = {"username": "ann", "password": "correct horse battery"}


def make_key(algorithm: str = "ssh-ed25519") -> str:
    return " ".join(asyncssh.generate_private_key(algorithm).export_public_key().decode().split()[:2])


@pytest.fixture(scope="module")
def keys() -> list[str]:
    return [make_key() for _ in range(3)]


class Desk:
    """Accounts of SFTP integrations, one for each policy."""

    def __init__(self, bench: Bench) -> None:
        self.definitions = bench.definitions
        self.accounts = bench.accounts
        self.host_keys = HostKeys(bench.database, self.definitions)

    async def declare(self, key: str, policy: str) -> None:
        text = (
            f"{{kind: integration, key: {key}, name: Files, base_url: 'sftp://files.example:2222', "
            f"auth: {{type: sftp, host_key: {policy}}}}}"
        )
        await self.definitions.apply(load_text(text, f"{key}.yaml"))

    async def lines(self, name: str) -> list[str]:
        return [each.line for each in await self.host_keys.of(name)]


@pytest_asyncio.fixture
async def desk(bench: Bench) -> Desk:
    made = Desk(bench)
    for policy in POLICIES:
        await made.declare(policy, policy)
    return made


def change(key: str, expected: tuple[str, ...] = ()) -> HostKeyChange:
    return HostKeyChange(
        host="files.example",
        port=2222,
        algorithm="ssh-ed25519",
        public_key=key,
        presented=fingerprint(key),
        expected=expected,
    )


async def test_an_account_without_a_host_key_is_not_created(desk: Desk) -> None:
    with pytest.raises(AccountError, match=r"auth\.host_key: confirm_first.*--host-key"):
        await desk.accounts.create("files", "confirm_first", {}, SECRETS)
    assert await desk.accounts.list() == []


async def test_one_that_looks_at_no_key_takes_none(desk: Desk, keys: list[str]) -> None:
    with pytest.raises(HostKeyError, match="insecure"):
        await desk.accounts.create("files", "insecure", {}, SECRETS, keys[:1])
    await desk.accounts.create("files", "insecure", {}, SECRETS)


async def test_an_account_that_could_not_log_in_is_not_created(desk: Desk, keys: list[str]) -> None:
    with pytest.raises(AccountError, match="a password or a private key"):
        await desk.accounts.create("files", "pinned", {}, {"username": "ann"}, keys[:1])


async def test_keys_are_kept_tidy_with_who_confirmed_them(desk: Desk, keys: list[str]) -> None:
    given = [f"# from the bank\n{keys[0]} root@files\n\n{keys[0]}", f"files.example {keys[1]}"]
    await desk.accounts.create("files", "pinned", {}, SECRETS, given, "Ann")

    found = await desk.host_keys.of("files")
    assert [each.line for each in found] == keys[:2]
    assert {each.added_by for each in found} == {"Ann"}


async def test_a_trusted_key_takes_the_place_of_those_before(desk: Desk, keys: list[str]) -> None:
    before = await desk.accounts.create("files", "pinned", {}, SECRETS, keys[:2])
    after = await desk.host_keys.trust("files", [keys[2]], who="Ben", why="new server")

    assert await desk.lines("files") == [keys[2]]
    assert after.version == before.version + 1


async def test_a_key_can_be_added_to_those_before(desk: Desk, keys: list[str]) -> None:
    await desk.accounts.create("files", "pinned", {}, SECRETS, keys[:1], "Ann")
    await desk.host_keys.trust("files", [keys[1], keys[0]], who="Ben", why="second node", add=True)

    assert [(each.line, each.added_by) for each in await desk.host_keys.of("files")] == [
        (keys[0], "Ann"),
        (keys[1], "Ben"),
    ]


async def test_a_presented_key_replaces_the_servers_own_lines_and_no_others(desk: Desk, keys: list[str]) -> None:
    lines = [
        f"other.example {keys[0]}",
        f"[files.example]:2222 {keys[0]}",
        f"@cert-authority *.example {keys[1]}",
    ]
    await desk.accounts.create("files", "known_hosts", {}, SECRETS, lines)
    asked = change(keys[2], expected=(fingerprint(keys[0]),))
    await desk.host_keys.trust_presented("files", asked, who="Ben", why="asked the bank")

    assert await desk.lines("files") == [lines[0], lines[2], f"[files.example]:2222 {keys[2]}"]


@pytest.mark.parametrize(
    ("own", "others"),
    [
        ("[files.example]:2222 {old}", ["[new.example]:2222 {new}"]),
        ("[Files.Example]:2222 {old}", []),
        ("[files.example.]:2222 {old}", []),
        ("files.example {old}", ["@revoked other.example {new}"]),
    ],
    ids=["known of another host", "in other case", "with a dot", "revoked for another host"],
)
async def test_a_presented_key_is_what_the_server_is_known_by_from_then_on(
    desk: Desk, keys: list[str], own: str, others: list[str]
) -> None:
    old, new = keys[:2]
    lines = [each.format(old=old, new=new) for each in (own, *others)]
    await desk.accounts.create("files", "known_hosts", {}, SECRETS, lines)
    await desk.host_keys.trust_presented("files", change(new, (fingerprint(old),)), who="Ben", why="moved")

    assert await desk.lines("files") == [*lines[1:], f"[files.example]:2222 {new}"]


async def test_a_key_confirmed_under_another_policy_goes_when_the_server_has_a_new_one(
    desk: Desk, keys: list[str]
) -> None:
    await desk.accounts.create("files", "pinned", {}, SECRETS, keys[:1])
    await desk.declare("pinned", policy="known_hosts")
    asked = change(keys[1], expected=(fingerprint(keys[0]),))
    await desk.host_keys.trust_presented("files", asked, who="Ben", why="moved")

    assert await desk.lines("files") == [f"[files.example]:2222 {keys[1]}"]


async def test_a_key_that_was_revoked_since_is_not_taken(desk: Desk, keys: list[str]) -> None:
    lines = [f"[files.example]:2222 {keys[0]}", f"@revoked * {keys[1]}"]
    await desk.accounts.create("files", "known_hosts", {}, SECRETS, lines)
    asked = change(keys[1], expected=(fingerprint(keys[0]),))
    await desk.host_keys.trust_presented("files", asked, who="Cem", why="late")

    assert await desk.lines("files") == lines


async def test_each_key_is_shown_by_what_it_counts_for_at_the_login(desk: Desk, keys: list[str]) -> None:
    lines = [
        f"[Files.Example]:2222 {keys[0]}",
        f"[files.example]:2222 {keys[1]}",
        f"@revoked * {keys[1]}",
        f"other.example {keys[0]}",
        f"@cert-authority *.example {keys[0]}",
        f"@cert-authority [*.example]:2222 {keys[2]}",
    ]
    await desk.accounts.create("files", "known_hosts", {}, SECRETS, lines)

    found = [each.role for each in await desk.host_keys.of("files")]

    assert found == ["trusted", "revoked", "revoked", "unused", "unused", "authority"]


async def test_no_key_counts_where_none_is_looked_at(desk: Desk, keys: list[str]) -> None:
    await desk.accounts.create("files", "pinned", {}, SECRETS, keys[:1])
    await desk.declare("pinned", policy="insecure")

    assert [each.role for each in await desk.host_keys.of("files")] == ["unused"]


async def test_trusting_the_same_key_for_a_second_run_changes_nothing(desk: Desk, keys: list[str]) -> None:
    await desk.accounts.create("files", "confirm_first", {}, SECRETS, keys[:1])
    asked = change(keys[1], expected=(fingerprint(keys[0]),))
    await desk.host_keys.trust_presented("files", asked, who="Ben", why="asked")
    version = (await desk.accounts.get("files")).version
    await desk.host_keys.trust_presented("files", asked, who="Cem", why="asked, too")

    assert (await desk.accounts.get("files")).version == version
    assert [each.added_by for each in await desk.host_keys.of("files")] == ["Ben"]


async def test_keys_go_with_their_account(desk: Desk, keys: list[str]) -> None:
    await desk.accounts.create("files", "pinned", {}, SECRETS, keys[:1])
    await desk.accounts.delete("files")
    await desk.accounts.create("files", "pinned", {}, SECRETS, keys[1:2])

    assert await desk.lines("files") == keys[1:2]


async def test_an_old_question_overwrites_no_newer_answer(desk: Desk, keys: list[str]) -> None:
    await desk.accounts.create("files", "pinned", {}, SECRETS, keys[:1])
    asked = change(keys[1], expected=(fingerprint(keys[0]),))
    await desk.host_keys.trust("files", [keys[2]], who="Ben", why="the bank's own page")
    await desk.host_keys.trust_presented("files", asked, who="Cem", why="late")

    assert await desk.lines("files") == [keys[2]]


async def test_a_question_about_a_server_that_the_account_has_left_changes_nothing(desk: Desk, keys: list[str]) -> None:
    await desk.accounts.create("files", "pinned", {}, SECRETS, keys[:1])
    elsewhere = change(keys[1], expected=(fingerprint(keys[0]),)).model_copy(update={"host": "old.example"})
    await desk.host_keys.trust_presented("files", elsewhere, who="Cem", why="late")

    assert await desk.lines("files") == keys[:1]
