"""What stands in a file: many documents, lines, and nothing of what makes YAML surprising."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from definitions.loading import load_paths, load_text
from definitions.problems import DefinitionErrors
from definitions.profile import Profile

PROFILE = "kind: profile\nname: {}\n"
SECRET = "hunter2-hunter2"


def told(text: str) -> str:
    with pytest.raises(DefinitionErrors) as caught:
        load_text(text, "f.yaml")
    return str(caught.value)


def variables(text: str) -> dict[str, str]:
    [document] = load_text(f"kind: profile\nname: dev\nvariables: {text}\n", "f.yaml")
    assert isinstance(document.model, Profile)
    return document.model.variables


def test_one_file_holds_many_documents_each_with_its_line() -> None:
    text = f"# comment\n{PROFILE.format('a')}---\n\n{PROFILE.format('b')}---\n---\n# nothing\n"

    documents = load_text(text, "f.yaml")

    assert [(each.kind, each.key, each.source, each.line) for each in documents] == [
        ("profile", "a", "f.yaml", 2),
        ("profile", "b", "f.yaml", 6),
    ]


def test_folders_are_searched_for_yaml_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "b.yaml").write_text(PROFILE.format("b"))
    (tmp_path / "a.yml").write_text(PROFILE.format("a"))
    (tmp_path / "deeper" / "c.yaml").write_text(PROFILE.format("c"))
    (tmp_path / "notes.txt").write_text("no: definition")

    assert [Path(each.source).name for each in load_paths([tmp_path])] == ["a.yml", "b.yaml", "c.yaml"]


def test_a_file_that_is_named_is_read_whatever_its_ending(tmp_path: Path) -> None:
    (tmp_path / "profile.txt").write_text(PROFILE.format("dev"))

    assert [each.key for each in load_paths([tmp_path / "profile.txt"])] == ["dev"]


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.yaml: there is no such file or folder"):
        load_paths([tmp_path / "missing.yaml"])


def test_line_ends_of_windows_and_a_byte_order_mark_are_taken() -> None:
    assert [each.key for each in load_text("\ufeff" + PROFILE.format("dev").replace("\n", "\r\n"), "f")] == ["dev"]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n---\n", "~"])
def test_an_empty_file_is_told(text: str) -> None:
    assert told(text) == "document (f.yaml:1): is empty: expected kind: integration or kind: profile"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "document, kind (f.yaml:1): expected kind: integration or kind: profile"),
        ("- a\n- b", "document, kind (f.yaml:1): expected kind: integration or kind: profile"),
        ("name: x", "document, kind (f.yaml:1): expected kind: integration or kind: profile"),
        ("name: x\nkind: 5", "document, kind (f.yaml:2): expected kind: integration or kind: profile"),
        ("kind: [profile]", "document, kind (f.yaml:1): expected kind: integration or kind: profile"),
        ("kind: {a: b}", "document, kind (f.yaml:1): expected kind: integration or kind: profile"),
        (
            "\nkind: profil\n",
            "document, kind (f.yaml:2): expected kind: integration or kind: profile; did you mean prof",
        ),
    ],
)
def test_a_document_of_no_known_kind_is_told(text: str, message: str) -> None:
    assert told(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", "(f.yaml:1): not YAML: mapping values are not allowed here"),
        ("a:\n\tb: c", "(f.yaml:2): not YAML: found character '\\t' that cannot start any token"),
        ("a: 'x", "(f.yaml:1): not YAML: found unexpected end of stream"),
        ("a: [1", "(f.yaml:1): not YAML: expected ',' or ']'"),
        ("a: 1\nb: \x01", "(f.yaml:2): not YAML: a character that YAML does not allow, #x0001"),
        ("a: 1\n\nb: \0", "(f.yaml:3): not YAML: a character that YAML does not allow, #x0000"),
        ("a: '\ud800'", "(f.yaml:1): not YAML: a character that YAML does not allow, #xd800"),
        ("a: *x", "(f.yaml:1): not YAML: found undefined alias 'x'"),
        ("a: &x [1]\nb: *x", "(f.yaml:1): aliases are not supported: write the value out"),
        ("a: &x [*x]", "(f.yaml:1): aliases are not supported: write the value out"),
        ("a: {<<: {b: c}}", "(f.yaml:1): a key must be plain text"),
        ("? [a]\n: b", "(f.yaml:1): a key must be plain text"),
        ("a: 1\nb: 2\na: 3", "(f.yaml:3): key 'a' stands here twice"),
        ("a:\n  b: 1\n  b: 2", "(f.yaml:3): key 'b' stands here twice"),
        ("a: !x b", "(f.yaml:1): tags are not supported: write the value without !"),
        ("a: !!python/object:os.system {}", "(f.yaml:1): tags are not supported: write the value without !"),
        ("a: !!set {b}", "(f.yaml:1): tags are not supported: write the value without !"),
        ("a: !!int b", "(f.yaml:1): the value cannot be read: put it in quotation marks"),
        ("a: !!bool maybe", "(f.yaml:1): the value cannot be read: put it in quotation marks"),
        (f"a: {'9' * 5000}", "(f.yaml:1): the value cannot be read: put it in quotation marks"),
        (f"x: 1\na: {'[' * 40}{']' * 40}", "(f.yaml:2): nested too deeply"),
        (f"x: 1\na: {'{b: ' * 1000}", "(f.yaml:2): nested too deeply"),
        ("#" * (1024 * 1024 + 1), "(f.yaml:1): the file is larger than 1024 KiB"),
    ],
)
def test_what_cannot_be_read_in_one_way_only_is_told_with_its_line(text: str, message: str) -> None:
    assert told(text).startswith(f"document {message}")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("'0123'", "0123"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("=", "="),
        ('"no"', "no"),
        ("1.2.3", "1.2.3"),
        ("|\n    two\n    lines", "two\nlines\n"),
    ],
)
def test_text_stays_as_it_was_written(written: str, read: str) -> None:
    assert variables(f"\n  a: {written}") == {"a": read}


@pytest.mark.parametrize("written", ["5", "0123", "yes", "No", "1.5", "~", "1_000", "12:30:00", "0x1f"])
def test_what_yaml_would_take_for_something_else_than_text_is_told(written: str) -> None:
    assert told(f"kind: profile\nname: dev\nvariables: {{a: {written}}}") == (
        "profile 'dev', variables.a (f.yaml:3): expected text: put it in quotation marks"
    )


@pytest.mark.parametrize(
    "text",
    [
        "kind: profile\nname: 'hunter2-hunter2 and more'",
        "kind: profile\nname: {a: hunter2-hunter2}",
        "kind: profile\nname: dev\nadapters: hunter2-hunter2",
        "kind: profile\nname: dev\nadapters: {a: [hunter2-hunter2]}",
        "kind: hunter2-hunter2",
        "kind: hunter2-hunter2: profile",
        "kind: profile\nname: dev\nvariables: [hunter2-hunter2]",
        "kind: integration\nkey: a\nname: A\nbase_url: hunter2-hunter2\nauth: {type: none}",
        "kind: integration\nkey: a\nname: A\nbase_url: https://hunter2-hunter2@x.example\nauth: {type: none}",
        "kind: integration\nkey: a\nname: A\nbase_url: https://a.example\nauth: {type: hunter2-hunter2}",
        "kind: integration\nkey: a\nname: A\nbase_url: https://a.example\nauth: hunter2-hunter2",
        *(
            f"kind: integration\nkey: a\nname: A\nbase_url: https://a.example\nauth: {{type: none}}\n{line}"
            for line in (
                'send: {headers: {A: \'{"password": "hunter2-hunter2"}\'}}',
                "send: {headers: {A: '{token(\"hunter2-hunter2\")}'}}",
                "send: {headers: {A: '{token|default(hunter2-hunter2)}'}}",
                "test: {path: a, success: [hunter2-hunter2]}",
                "test: {path: a, method: hunter2-hunter2}",
                "hosts: ['hunter2-hunter2!']",
                "ports: [hunter2-hunter2]",
                "unauthorized: hunter2-hunter2",
                "parameters: {a: {pattern: '/hunter2-hunter2/'}}",
                "parameters: {a: {pattern: '[0-9]', default: hunter2-hunter2}}",
                "idempotency: {header: 'hunter2-hunter2: x'}",
                "tls: [hunter2-hunter2]",
            )
        ),
        "a: 'hunter2-hunter2",
        "a: {b: hunter2-hunter2: c}",
        "a: !hunter hunter2-hunter2",
        "a: !!int hunter2-hunter2",
        "a: hunter2-hunter2\n\0",
    ],
)
def test_a_message_never_repeats_the_value_that_it_refuses(text: str) -> None:
    assert SECRET not in told(text)


@given(text=st.text(alphabet="kind: prof\n-{}[]'\"*&!|>#?%@\\\t\ue000\x85a1", max_size=60))
@example(text="? ")
@example(text="%YAML 9.9\n---\na")
@example(text="--- !<x\n")
def test_any_text_loads_or_is_refused_in_words(text: str) -> None:
    try:
        found: Sequence[object] = load_text(text, "f.yaml")
    except DefinitionErrors as error:
        found = [each for each in error.problems if each.line >= 1 and each.message]
    assert found
