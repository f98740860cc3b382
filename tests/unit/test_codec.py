import base64
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError, FailureError

from auth.keys import Keyring
from runtime.codec import ENCODING, KEY_ID, EncryptionCodec, UndecodablePayload
from runtime.plugin import data_converter
from tests.fixtures.assets import payloads_in

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
PLAIN = Payload(metadata={"encoding": b"json/plain", "note": b"customer 4711"}, data=b'"jane@example.com"')


def keyring(*ids: str) -> Keyring:
    """The first id is the primary one."""
    keys = {"old": OLD, "new": NEW}
    return Keyring(ids[0], {name: keys[name] for name in ids})


async def sealed(codec: EncryptionCodec, payload: Payload = PLAIN) -> Payload:
    return (await codec.encode([payload]))[0]


async def opened(codec: EncryptionCodec, payload: Payload) -> Payload:
    return (await codec.decode([payload]))[0]


async def test_what_was_encrypted_comes_back_with_its_metadata() -> None:
    codec = EncryptionCodec(keyring("old"))
    assert await opened(codec, await sealed(codec)) == PLAIN


async def test_an_encrypted_payload_shows_nothing_but_the_id_of_its_key() -> None:
    payload = await sealed(EncryptionCodec(keyring("old")))
    assert dict(payload.metadata) == {"encoding": ENCODING, KEY_ID: b"old"}
    assert b"jane" not in payload.SerializeToString()
    assert b"4711" not in payload.SerializeToString()


async def test_equal_payloads_are_encrypted_differently() -> None:
    codec = EncryptionCodec(keyring("old"))
    assert (await sealed(codec)).data != (await sealed(codec)).data


async def test_each_of_several_payloads_keeps_its_place() -> None:
    codec = EncryptionCodec(keyring("old"))
    payloads = [Payload(data=bytes([number])) for number in range(5)]
    assert await codec.decode(await codec.encode(payloads)) == payloads


async def test_a_payload_that_was_never_encrypted_passes() -> None:
    assert await opened(EncryptionCodec(keyring("old")), PLAIN) == PLAIN


async def test_after_a_rotation_the_old_key_still_opens_and_the_new_one_seals() -> None:
    before = await sealed(EncryptionCodec(keyring("old")))
    rotated = EncryptionCodec(keyring("new", "old"))
    assert await opened(rotated, before) == PLAIN
    assert (await sealed(rotated)).metadata[KEY_ID] == b"new"


async def test_a_key_that_is_not_held_is_named() -> None:
    payload = await sealed(EncryptionCodec(keyring("new")))
    with pytest.raises(UndecodablePayload, match="key 'new', which this keyring does not hold: add that key"):
        await opened(EncryptionCodec(keyring("old")), payload)


async def test_another_key_under_the_same_id_opens_nothing() -> None:
    payload = await sealed(EncryptionCodec(Keyring("k", {"k": OLD})))
    with pytest.raises(UndecodablePayload, match="altered"):
        await opened(EncryptionCodec(Keyring("k", {"k": NEW})), payload)


@pytest.mark.parametrize("position", [0, 11, 12, 40, -1])
async def test_one_changed_bit_is_noticed(position: int) -> None:
    codec = EncryptionCodec(keyring("old"))
    payload = await sealed(codec)
    data = bytearray(payload.data)
    data[position] ^= 1
    with pytest.raises(UndecodablePayload, match="altered"):
        await opened(codec, Payload(metadata=payload.metadata, data=bytes(data)))


@pytest.mark.parametrize("length", [0, 5, 12, 27, -1])
async def test_a_payload_that_was_cut_short_is_noticed(length: int) -> None:
    codec = EncryptionCodec(keyring("old"))
    payload = await sealed(codec)
    with pytest.raises(UndecodablePayload, match="cut short"):
        await opened(codec, Payload(metadata=payload.metadata, data=payload.data[:length]))


async def test_a_payload_cannot_be_passed_off_as_sealed_by_another_key() -> None:
    both = EncryptionCodec(Keyring("a", {"a": OLD, "b": OLD}))
    payload = await sealed(both)
    with pytest.raises(UndecodablePayload):
        await opened(both, Payload(metadata={**payload.metadata, KEY_ID: b"b"}, data=payload.data))


async def test_a_key_id_that_is_no_text_is_an_error_of_ours() -> None:
    payload = Payload(metadata={"encoding": ENCODING, KEY_ID: b"\xff\xfe"}, data=b"x" * 40)
    with pytest.raises(UndecodablePayload):
        await opened(EncryptionCodec(keyring("old")), payload)


async def test_the_history_key_is_not_the_key_that_wraps_secrets() -> None:
    """So that whoever is given the one cannot open the vault with it."""
    assert keyring("old").derive("old", b"tieline temporal payload v1") != OLD


async def test_a_failure_keeps_its_type_in_clear_and_its_text_and_stack_encrypted(tmp_path: Path) -> None:
    converter = data_converter(keyring("old"), payloads_in(tmp_path))
    failure = Failure()
    error = _raised(ApplicationError("jane@example.com was refused", {"why": "jane"}, type="CallFailed"))
    await converter.encode_failure(error, failure)

    stored = failure.SerializeToString()
    assert b"jane" not in stored
    assert base64.b64encode(b"jane@example.com")[:16] not in stored
    assert (failure.message, failure.stack_trace) == ("Encoded failure", "")
    assert failure.application_failure_info.type == "CallFailed"

    back = await converter.decode_failure(failure)
    assert isinstance(back, ApplicationError)
    assert (back.message, back.details[0]) == ("jane@example.com was refused", {"why": "jane"})


async def test_a_foreign_failure_is_refused_with_the_name_of_its_key(tmp_path: Path) -> None:
    failure = Failure()
    await data_converter(keyring("new"), payloads_in(tmp_path)).encode_failure(
        _raised(ApplicationError("secret text")), failure
    )
    with pytest.raises(UndecodablePayload, match="'new'"):
        await data_converter(keyring("old"), payloads_in(tmp_path)).decode_failure(failure)


def _raised(error: FailureError) -> FailureError:
    """With a traceback, as it comes out of an activity."""
    try:
        raise error
    except FailureError as caught:
        return caught
