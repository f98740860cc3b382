from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.errors import CliError
from cli.operation import BodyOptions, build_operation, with_asset
from definitions.asset import Asset
from definitions.operation import (
    AssetBody,
    FormBody,
    HttpOperation,
    JsonBody,
    MultipartBody,
    RawBody,
    SftpBody,
    TextBody,
)


def build(method: str = "POST", path: str = "/leads", **options: Any) -> HttpOperation:
    body = {name: options.pop(name) for name in BodyOptions.__dataclass_fields__ if name in options}
    return build_operation(method, path, [], [], BodyOptions(**body), **options)


def test_the_query_of_the_path_comes_before_the_options() -> None:
    operation = build_operation("get", "/search?q=x", ["page=2"], ["Accept=text/csv"], BodyOptions())

    assert operation.method == "GET"
    assert operation.path == "/search"
    assert operation.query == (("q", "x"), ("page", "2"))
    assert operation.headers == (("Accept", "text/csv"),)


def test_what_is_left_out_keeps_the_default_of_the_model() -> None:
    assert build(timeout=None, success=[], on_failure=None) == HttpOperation(method="POST", path="/leads")


def test_options_reach_the_operation() -> None:
    operation = build(timeout="5s", give_up_after="1h", success=["200-204"], extract="items[0]", idempotent=False)

    assert operation.timeout == timedelta(seconds=5)
    assert operation.give_up_after == timedelta(hours=1)
    assert operation.success == ("200-204",)
    assert operation.extract == "items[0]"
    assert operation.idempotent is False


def test_a_json_body() -> None:
    assert build(json='{"a": [1, null]}').body == JsonBody(value={"a": [1, None]})


def test_a_json_body_of_null_is_a_body() -> None:
    assert build(json="null").body == JsonBody(value=None)


def test_a_form_body_keeps_repeated_fields() -> None:
    assert build(form=("a=1", "a=2")).body == FormBody(fields=(("a", "1"), ("a", "2")))


def test_a_text_body_has_the_media_type_it_is_given() -> None:
    assert build(text="<a/>", media_type="application/soap+xml").body == TextBody(
        text="<a/>", media_type="application/soap+xml"
    )


def test_a_raw_body_is_sent_byte_by_byte(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"\x00\xff")

    body = build(body=f"@{tmp_path / 'image'}").body

    assert isinstance(body, RawBody)
    assert body.content == b"\x00\xff"


def test_files_and_fields_make_a_multipart_body(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"\x89PNG")

    body = build(form=("title=Cat",), file=(f"image=@{tmp_path / 'cat.png'}",)).body

    assert isinstance(body, MultipartBody)
    assert body.fields == (("title", "Cat"),)
    assert body.files[0].name == "image"
    assert body.files[0].filename == "cat.png"
    assert body.files[0].media_type == "image/png"
    assert body.files[0].content == b"\x89PNG"


def test_two_kinds_of_body_exclude_each_other() -> None:
    with pytest.raises(CliError, match="a call has one body: choose one of --json, --text"):
        build(json="{}", text="x")


def test_a_media_type_needs_a_body_that_has_none_of_its_own() -> None:
    with pytest.raises(CliError, match="--media-type belongs to --text, --body, --asset or --sftp"):
        build(json="{}", media_type="text/plain")


def test_a_file_part_without_a_path_is_refused() -> None:
    with pytest.raises(CliError, match=r"--file image: expected NAME=@PATH"):
        build(file=("image=cat.png",))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("timeout", "soon", "--timeout: expected a duration such as 30s"),
        ("give_up_after", "0", "--give-up-after: must be longer than zero"),
        ("success", ["2x"], "--success: expected a status pattern: 2xx, 404 or 200-204"),
        ("extract", "a[", "--extract: not a JMESPath expression"),
        ("on_failure", "explode", "--on-failure: expected 'fail' or 'park'"),
    ],
)
def test_a_value_that_the_operation_refuses_is_named_by_its_option(option: str, value: Any, message: str) -> None:
    with pytest.raises(CliError) as raised:
        build(**{option: value})
    assert message in str(raised.value)


def test_an_unknown_method_is_refused_with_those_that_exist() -> None:
    with pytest.raises(CliError, match="METHOD: expected 'GET', 'HEAD', 'POST'"):
        build(method="FETCH")


def test_an_asset_is_put_in_when_it_is_known() -> None:
    known = Asset(sha256="a" * 64, size=5, name="a.csv", media_type="text/csv")

    operation = with_asset(build(asset="aaaaaaaa", media_type="text/plain"), known)

    assert operation.body == AssetBody(asset=known, media_type="text/plain")


def test_a_file_of_an_sftp_server_is_named_by_adapter_and_path() -> None:
    assert build(sftp="bank:outbox/a:b.csv").body == SftpBody(adapter="bank", path="outbox/a:b.csv")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sftp": "outbox/a.csv"}, "expected ADAPTER:PATH"),
        ({"sftp": "bank:../a.csv"}, "body"),
        ({"sftp": "bank:a", "asset": "aaaaaaaa"}, "choose one of --asset, --sftp"),
        ({"answer": "file"}, "--answer"),
        ({"answer": "asset", "extract": "a"}, "extract needs the answer as a value"),
        ({"max_asset_bytes": 0}, "--max-asset-bytes"),
        ({"stall_after": "soon"}, "--stall-after"),
        ({"transfer_timeout": "soon"}, "--transfer-timeout"),
    ],
)
def test_what_cannot_be_meant_about_large_bodies_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(CliError, match=words):
        build(**options)
