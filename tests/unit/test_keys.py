import asyncio
import base64
import hmac
import json
import os
import stat
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from auth.keys import Keyring, KeyringError, UnknownKey, Unwrappable, from_environment, from_file, load_keyring

ROOT = Path(__file__).parents[2]
DEK, AAD = bytes(range(32)), b"of one record"
ENCODED = base64.b64encode(b"planted-key-4f1c9a".ljust(32, b"-")).decode()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "keys.json"
    load_keyring(None, path)
    return path


def shown(error: BaseException) -> str:
    """Everything that a log would show of it."""
    return "".join(traceback.format_exception(error))


def content_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_the_first_start_makes_a_key_file_that_only_its_owner_reads(key_file: Path) -> None:
    content = content_of(key_file)

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file.parent.stat().st_mode) == 0o700
    assert [len(base64.b64decode(key)) for key in content["keys"].values()] == [32]
    assert [content["primary"]] == list(content["keys"])
    assert [path.name for path in key_file.parent.iterdir()] == ["keys.json"]


def test_a_generous_umask_does_not_open_the_key_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_keyring(None, tmp_path / "keys.json")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_later_starts_read_the_same_key(key_file: Path) -> None:
    kek_id, blob = load_keyring(None, key_file).wrap(DEK, AAD)

    assert load_keyring(None, key_file).unwrap(kek_id, blob, AAD) == DEK


def test_processes_that_start_first_at_once_end_with_one_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    program = (
        "import sys, pathlib; from auth.keys import load_keyring; print('ready', flush=True); sys.stdin.readline(); "
        "print(load_keyring(None, pathlib.Path(sys.argv[1])).primary_id)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    found = {process.communicate(timeout=30)[0].strip() for process in processes}

    assert found == {content_of(path)["primary"]}
    assert [each.name for each in tmp_path.iterdir()] == ["keys.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o777])
def test_a_key_file_that_others_can_reach_is_refused_with_the_command_that_helps(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)

    with pytest.raises(KeyringError, match=f"can be read by others: chmod 600 {key_file}"):
        load_keyring(None, key_file)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "damaged"),
        ('{"primary": "a", "keys": {"a": "' + ENCODED, "damaged"),
        ("[]", "damaged"),
        ('{"primary": "a"}', "damaged"),
        ('{"primary": "a", "keys": "' + ENCODED + '"}', "damaged"),
        (json.dumps({"primary": "a", "keys": [["a", ENCODED]]}), "damaged"),
        (json.dumps({"primary": ["a"], "keys": {"a": ENCODED}}), "its primary key is not among its keys"),
        (json.dumps({"primary": "b", "keys": {"a": ENCODED}}), "its primary key is not among its keys"),
        (json.dumps({"primary": "a", "keys": {}}), "its primary key is not among its keys"),
        (json.dumps({"primary": "a", "keys": {"a": ENCODED[:-4]}}), "'a' must have 32 bytes, it has 30"),
        (json.dumps({"primary": "a", "keys": {"a": ""}}), "'a' must have 32 bytes, it has 0"),
        (json.dumps({"primary": "a", "keys": {"a": ENCODED[:-1] + "!"}}), "'a' is no base64"),
        (json.dumps({"primary": "a", "keys": {"a": f"é{ENCODED}"}}), "'a' is no base64"),
        (json.dumps({"primary": "a", "keys": {"a": 7}}), "'a' is no base64"),
        (json.dumps({"primary": "a", "keys": {"a": ENCODED, ENCODED: "b"}}), "an id is of 1 to 32"),
    ],
)
def test_a_broken_key_file_is_refused_without_showing_what_is_in_it(tmp_path: Path, content: str, fault: str) -> None:
    path = tmp_path / "keys.json"
    path.touch(0o600)
    path.write_text(content)

    with pytest.raises(KeyringError) as caught:
        load_keyring(None, path)

    assert fault in str(caught.value)
    assert str(path) in str(caught.value)
    assert ENCODED[:20] not in shown(caught.value)
    assert path.read_text() == content


def test_a_key_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.touch(0o600)
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(KeyringError, match="not text"):
        load_keyring(None, path)


def test_a_place_where_no_key_file_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(KeyringError, match="cannot be made or changed"):
        load_keyring(None, tmp_path / "file" / "keys.json")


def test_a_key_file_that_leads_nowhere_is_told_and_not_made(tmp_path: Path) -> None:
    (tmp_path / "keys.json").symlink_to(tmp_path / "mounted" / "later")

    with pytest.raises(KeyringError, match="cannot be read: No such file"):
        load_keyring(None, tmp_path / "keys.json")


def test_keys_of_the_environment_go_before_the_key_file_and_make_none(tmp_path: Path) -> None:
    keyring = load_keyring(SecretStr(f" new:{ENCODED} , old:{ENCODED} ,"), tmp_path / "keys.json")

    assert keyring.primary_id == "new"
    assert keyring.ids == {"new", "old"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "TIELINE_KEYS is empty"),
        (" , ", "TIELINE_KEYS is empty"),
        (ENCODED, "entry 1: write ID:BASE64"),
        (f"a:{ENCODED},{ENCODED}", "entry 2: write ID:BASE64"),
        (f"{ENCODED}:a", "entry 1: write ID:BASE64"),
        (f":{ENCODED}", "entry 1: write ID:BASE64"),
        ("a:", "entry 1: write ID:BASE64"),
        (f"a:{ENCODED[:-4]}", "'a' must have 32 bytes, it has 30"),
        (f"a:{ENCODED}!", "'a' is no base64"),
        (f"a:{ENCODED}é", "'a' is no base64"),
        (f"a:{ENCODED},a:{ENCODED}", "entry 2: there are two keys 'a'"),
    ],
)
def test_keys_of_the_environment_that_cannot_be_used_are_refused_unseen(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(KeyringError) as caught:
        load_keyring(SecretStr(text), tmp_path / "keys.json")

    assert fault in str(caught.value)
    assert ENCODED[:20] not in shown(caught.value)
    assert list(tmp_path.iterdir()) == []


@given(st.text(alphabet="ab:, =/+", max_size=12), st.text(alphabet="ab:, =/+", max_size=12))
def test_no_mistake_around_a_key_shows_it(before: str, after: str) -> None:
    try:
        told = repr(from_environment(f"{before}{ENCODED}{after}"))
    except KeyringError as error:
        told = shown(error)
    assert ENCODED[:20] not in told


def test_a_keyring_shows_no_key(key_file: Path) -> None:
    keyring = from_file(key_file)
    [encoded] = content_of(key_file)["keys"].values()

    assert encoded not in f"{keyring} {keyring!r}"
    assert keyring.primary_id in repr(keyring)


def test_a_wrapped_key_opens_under_its_own_key_and_for_its_own_record_only() -> None:
    keyring = Keyring("a", {"a": b"a" * 32, "b": b"b" * 32})
    kek_id, blob = keyring.wrap(DEK, AAD)

    assert (kek_id, keyring.unwrap("a", blob, AAD)) == ("a", DEK)
    assert keyring.wrap(DEK, AAD)[1] != blob
    for wrong in (("b", blob, AAD), ("a", blob, AAD + b"x"), ("a", blob[:-1], AAD), ("a", b"", AAD)):
        with pytest.raises(Unwrappable):
            keyring.unwrap(*wrong)
    with pytest.raises(UnknownKey, match="key 'c' is not in TIELINE_KEYS: put it back"):
        keyring.unwrap("c", blob, AAD)


def test_keys_are_derived_as_written_in_rfc_5869() -> None:
    """OKM = HMAC(HMAC(zero salt, key), purpose || 0x01), for one block of 32 bytes."""
    extracted = hmac.digest(bytes(32), b"a" * 32, "sha256")
    expected = hmac.digest(extracted, b"purpose" + b"\x01", "sha256")

    keyring = Keyring("a", {"a": b"a" * 32})

    assert keyring.derive("a", b"purpose") == expected
    assert keyring.derive("a", b"another purpose") != expected
    with pytest.raises(UnknownKey):
        keyring.derive("b", b"purpose")


def test_a_new_primary_key_wraps_and_the_older_ones_still_open(key_file: Path) -> None:
    keyring = from_file(key_file)
    old_id, blob = keyring.wrap(DEK, AAD)

    new_id = keyring.add_primary()

    assert new_id != old_id
    assert keyring.wrap(DEK, AAD)[0] == new_id
    assert from_file(key_file).primary_id == new_id
    assert from_file(key_file).unwrap(old_id, blob, AAD) == DEK
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_a_running_process_follows_its_key_file(key_file: Path) -> None:
    running = from_file(key_file)
    kek_id, blob = running.wrap(DEK, AAD)
    rotated = from_file(key_file)
    new_id = rotated.add_primary()

    assert running.unwrap(*rotated.wrap(DEK, AAD), AAD) == DEK
    assert running.derive(new_id, b"purpose") == rotated.derive(new_id, b"purpose")
    assert running.wrap(DEK, AAD)[0] == running.primary_id == new_id
    assert running.unwrap(kek_id, blob, AAD) == DEK


def test_a_running_process_keeps_its_keys_when_the_file_is_damaged_or_gone(
    key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = from_file(key_file)
    kek_id, blob = running.wrap(DEK, AAD)

    key_file.write_text("{")
    assert running.unwrap(*running.wrap(DEK, AAD), AAD) == DEK
    assert "damaged" in caplog.text
    key_file.unlink()
    assert running.unwrap(kek_id, blob, AAD) == DEK


async def test_rotations_at_once_lose_no_key(key_file: Path) -> None:
    keyrings = [from_file(key_file) for _ in range(8)]

    added = await asyncio.gather(*(asyncio.to_thread(keyring.add_primary) for keyring in keyrings))

    assert set(added) < set(content_of(key_file)["keys"])
    assert len(set(added)) == 8


def test_keys_of_the_environment_are_rotated_there() -> None:
    keyring = from_environment(f"a:{ENCODED}")

    with pytest.raises(KeyringError, match="TIELINE_KEYS: put a new ID:BASE64 behind the others"):
        keyring.add_primary()
    with pytest.raises(KeyringError, match="take 'a' out there"):
        keyring.drop("a")


def test_a_key_can_be_dropped_unless_it_is_the_primary_one(key_file: Path) -> None:
    keyring = from_file(key_file)
    old_id = keyring.primary_id
    new_id = keyring.add_primary()

    with pytest.raises(KeyringError, match="is the primary one: rotate the keys first"):
        keyring.drop(new_id)
    keyring.drop(old_id)
    with pytest.raises(KeyringError, match=f"no key '{old_id}' in .*; it holds {new_id}"):
        keyring.drop(old_id)

    assert keyring.ids == from_file(key_file).ids == {new_id}


def test_a_key_can_be_dropped_that_another_process_made_and_this_one_never_saw(key_file: Path) -> None:
    keyring, other = from_file(key_file), from_file(key_file)
    made = other.add_primary()
    primary = other.add_primary()

    keyring.drop(made)

    assert made not in from_file(key_file).ids
    assert keyring.primary_id == primary


def test_a_missing_key_file_is_not_made_anew_while_secrets_need_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match=r"keys\.json is missing, and secrets are stored that need k1, k2: restore"):
        load_keyring(None, tmp_path / "keys.json", needed={"k2", "k1"})
    assert list(tmp_path.iterdir()) == []


def test_keys_that_open_nothing_that_is_stored_are_refused(key_file: Path) -> None:
    with pytest.raises(KeyringError, match=f"{key_file} holds no key that a stored secret needs, which are k1: rest"):
        load_keyring(None, key_file, needed={"k1"})
    with pytest.raises(KeyringError, match="TIELINE_KEYS holds no key"):
        load_keyring(SecretStr(f"a:{ENCODED}"), key_file, needed={"k1"})


def test_a_key_that_only_some_secrets_miss_is_told_at_the_start(
    key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kek_id = from_file(key_file).primary_id

    assert load_keyring(None, key_file, needed={"k1", kek_id}).primary_id == kek_id

    assert f"need k1, not in {key_file}: put the key back" in caplog.text
