"""A declared body arrives at a server as what it was declared."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import parse_qsl

import pytest
import python_multipart
from hypothesis import given
from hypothesis import strategies as st

from activities.body import encode_body
from activities.sources import Sources
from activities.streams import Draft
from definitions.asset import Asset
from definitions.operation import (
    AssetBody,
    Body,
    FilePart,
    FormBody,
    JsonBody,
    MultipartBody,
    RawBody,
    SftpBody,
    TextBody,
)
from net.messages import StreamedContent

Part = tuple[str, str | None, bytes]


def encoded(body: Body) -> tuple[bytes, str | None]:
    """Of what is at hand."""
    content, media_type = encode_body(body)
    assert isinstance(content, bytes)
    return content, media_type


def received(body: MultipartBody) -> list[Part]:
    """The parts as a server's own parser reads them: name, file name, content."""
    content, media_type = encoded(body)
    assert media_type is not None
    fields: list[Part] = []
    files: list[Part] = []
    python_multipart.parse_form(
        {"Content-Type": media_type.encode(), "Content-Length": str(len(content)).encode()},
        io.BytesIO(content),
        lambda field: fields.append((_text(field.field_name), None, field.value or b"")),
        lambda file: files.append((_text(file.field_name), _text(file.file_name), _content(file))),
    )
    return [*fields, *files]


def _text(name: bytes | None) -> str:
    return (name or b"").decode()


def _content(file: Any) -> bytes:
    file.file_object.seek(0)
    content: bytes = file.file_object.read()
    file.close()
    return content


def file(content: bytes = b"", **fields: Any) -> FilePart:
    return FilePart.model_construct(
        **{"name": "file", "filename": "a.txt", "media_type": "text/plain", "content": content, **fields}
    )


def test_no_body_has_no_media_type() -> None:
    assert encode_body(None) == (b"", None)


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ({"b": 1, "a": [None, True, 1.5, "ü"]}, '{"b":1,"a":[null,true,1.5,"ü"]}'),
        (None, "null"),
        ("text", '"text"'),
        ([], "[]"),
        ({"big": 2**80, "neg": -(2**70), "ü": 1}, f'{{"big":{2**80},"neg":{-(2**70)},"ü":1}}'),
    ],
)
def test_json_keeps_the_order_of_its_members_and_every_digit(value: Any, content: str) -> None:
    assert encode_body(JsonBody(value=value)) == (content.encode(), "application/json")


@pytest.mark.parametrize(
    "body",
    [
        JsonBody.model_construct(value="\ud800"),
        JsonBody.model_construct(value={"\ud800": 1}),
        TextBody.model_construct(text="\ud800", media_type="text/plain"),
        FormBody.model_construct(fields=(("a", "\ud800"),)),
        MultipartBody.model_construct(fields=(("a", "\ud800"),), files=()),
    ],
)
def test_half_a_character_is_refused_like_any_fault_of_the_operation(body: Any) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode_body(body)


def test_a_form_keeps_order_and_repeated_names() -> None:
    fields = (("b", "1"), ("a", "x y&=+ü%"), ("b", "2"), ("", ""))

    content, media_type = encoded(FormBody(fields=fields))

    assert media_type == "application/x-www-form-urlencoded"
    assert parse_qsl(content.decode(), keep_blank_values=True) == list(fields)


@given(fields=st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=4))
def test_any_form_arrives_as_it_is(fields: list[tuple[str, str]]) -> None:
    content, _ = encoded(FormBody(fields=tuple(fields)))

    assert content.isascii()
    assert parse_qsl(content.decode(), keep_blank_values=True) == fields


@pytest.mark.parametrize(
    ("media_type", "sent"),
    [
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/xml", "text/xml; charset=utf-8"),
        ('application/soap+xml; action="urn:x"', 'application/soap+xml; action="urn:x"; charset=utf-8'),
    ],
)
def test_text_and_xml_are_sent_as_utf_8_and_say_so(media_type: str, sent: str) -> None:
    assert encode_body(TextBody(text="<ü/>", media_type=media_type)) == ("<ü/>".encode(), sent)


def test_raw_bytes_stay_as_they_are() -> None:
    body = RawBody.model_validate({"type": "raw", "content": "AAH/", "media_type": "application/x-thing"})

    assert encode_body(body) == (b"\x00\x01\xff", "application/x-thing")


def test_multipart_carries_fields_and_files_under_their_names() -> None:
    body = MultipartBody(
        fields=(("title", "Ü 1"), ("tag", "a"), ("tag", "b"), ("empty", "")),
        files=(file(b"\x00\r\n--\xff", media_type="image/png"), file(b"", name="other", filename="ü.txt")),
    )

    assert received(body) == [
        ("title", None, "Ü 1".encode()),
        ("tag", None, b"a"),
        ("tag", None, b"b"),
        ("empty", None, b""),
        ("file", "a.txt", b"\x00\r\n--\xff"),
        ("other", "ü.txt", b""),
    ]


def test_each_file_says_its_media_type() -> None:
    content, _ = encoded(MultipartBody(files=(file(media_type="image/png"),)))

    assert b'; name="file"; filename="a.txt"\r\nContent-Type: image/png\r\n\r\n' in content


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ('a"; filename="evil', "a%22; filename=%22evil"),
        ("a\r\nContent-Type: text/html\r\n\r\nevil", "a%0D%0AContent-Type: text/html%0D%0A%0D%0Aevil"),
    ],
)
@pytest.mark.parametrize("field", ["name", "filename"])
def test_no_name_can_end_its_quotation_or_its_line(field: str, name: str, sent: str) -> None:
    [part] = received(MultipartBody(files=(file(b"x", **{field: name}),)))

    assert part == ((sent, "a.txt", b"x") if field == "name" else ("file", sent, b"x"))


def test_no_content_can_end_its_part_since_nobody_knows_the_boundary() -> None:
    first, second = (encoded(MultipartBody(fields=(("a", "b"),)))[1] for _ in range(2))

    assert first != second


@given(
    values=st.lists(st.text(max_size=10), max_size=3),
    contents=st.lists(st.binary(max_size=40) | st.sampled_from([b"--", b"\r\n--", b"\r\n\r\n"]), max_size=3),
)
def test_any_multipart_arrives_as_it_is(values: list[str], contents: list[bytes]) -> None:
    body = MultipartBody.model_construct(
        fields=tuple(("f", value) for value in values), files=tuple(file(content) for content in contents)
    )

    assert received(body) == [
        *(("f", None, value.encode()) for value in values),
        *(("file", "a.txt", content) for content in contents),
    ]


def test_what_is_encoded_as_json_is_read_back_the_same() -> None:
    value = {"a": [{"b": '\u2028\u0000"\\'}, -0.5, 1e300, ""]}

    assert json.loads(encoded(JsonBody(value=value))[0]) == value


class Kept:
    """One asset, in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    def draft(self, key: str | None = None, run: str | None = None) -> AbstractAsyncContextManager[Draft]:
        raise AssertionError("nothing is written")

    async def read(self, asset: Asset | str, start: int = 0) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    async def hold(self, sha256: str, holder: str) -> None:
        raise AssertionError("a body is only read")


CSV = Asset(sha256="a" * 64, size=6, name="a.csv", media_type="text/csv")


async def streamed(content: bytes | StreamedContent) -> bytes:
    assert isinstance(content, StreamedContent)
    return b"".join([piece async for piece in content.open()])


@pytest.mark.parametrize(("media_type", "sent"), [(None, "text/csv"), ("text/plain", "text/plain")])
async def test_an_asset_is_read_while_it_is_sent_and_may_be_read_again(media_type: str | None, sent: str) -> None:
    content, told = encode_body(AssetBody(asset=CSV, media_type=media_type), Sources(Kept(b"abc", b"def")))

    assert told == sent
    assert [await streamed(content), await streamed(content)] == [b"abcdef", b"abcdef"]
    assert isinstance(content, StreamedContent)
    assert content.size == 6


async def test_a_multipart_body_with_an_asset_knows_its_length() -> None:
    parts = (FilePart(name="a", filename="a.csv", asset=CSV), file(b"small"))

    content, _ = encode_body(MultipartBody(fields=(("b", "c"),), files=parts), Sources(Kept(b"abc", b"def")))

    sent = await streamed(content)
    assert isinstance(content, StreamedContent)
    assert content.size == len(sent)
    assert b'name="a"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\nabcdef\r\n--' in sent


@pytest.mark.parametrize(
    ("body", "words"),
    [(AssetBody(asset=CSV), "no assets are at hand"), (SftpBody(adapter="bank", path="a"), "no SFTP server")],
)
def test_what_is_not_at_hand_cannot_be_sent(body: Body, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        encode_body(body)
