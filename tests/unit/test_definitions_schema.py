"""The published JSON Schema: what editors complete and underline."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from definitions.integration import Integration
from definitions.loading import KINDS, json_schema
from definitions.profile import Profile

SCHEMA = json_schema()
EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted([*EXAMPLES.glob("integrations/*.yaml"), *EXAMPLES.glob("demo/definitions/*.yaml")])

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def fits(value: Any, schema: dict[str, Any] | bool) -> bool:
    """Whether a value is valid by what the published schema uses of JSON Schema (draft 2020-12)."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema and not fits(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]):
        return False
    return (
        _fits_combined(value, schema)
        and _is(value, schema.get("type"))
        and _fits_text_or_number(value, schema)
        and _fits_object(value, schema)
        and _fits_array(value, schema)
    )


def _is(value: Any, wanted: str | None) -> bool:
    if isinstance(value, bool) and wanted in ("integer", "number"):
        return False
    return wanted is None or isinstance(value, TYPES[wanted])


def _fits_combined(value: Any, schema: dict[str, Any]) -> bool:
    matching = [fits(value, option) for option in schema.get("oneOf", [])]
    return (
        ("anyOf" not in schema or any(fits(value, option) for option in schema["anyOf"]))
        and (not matching or sum(matching) == 1)
        and ("const" not in schema or value == schema["const"])
        and ("enum" not in schema or value in schema["enum"])
    )


def _fits_text_or_number(value: Any, schema: dict[str, Any]) -> bool:
    if isinstance(value, str):
        return len(value) >= schema.get("minLength", 0) and bool(re.search(schema.get("pattern", ""), value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        above = value > schema.get("exclusiveMinimum", float("-inf"))
        return bool(above and schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True


def _fits_object(value: Any, schema: dict[str, Any]) -> bool:
    if not isinstance(value, dict):
        return True
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    return set(schema.get("required", [])) <= value.keys() and all(
        fits(item, each) for name, item in value.items() for each in _schemas_of(name, known, patterns, schema)
    )


def _schemas_of(name: str, known: Any, patterns: Any, schema: dict[str, Any]) -> list[dict[str, Any] | bool]:
    found = [known[name]] if name in known else []
    found += [each for pattern, each in patterns.items() if re.search(pattern, name)]
    return found or [schema.get("additionalProperties", not patterns)]


def _fits_array(value: Any, schema: dict[str, Any]) -> bool:
    if not isinstance(value, list):
        return True
    enough = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
    return enough and all(fits(item, schema.get("items", True)) for item in value)


def models(*roots: type[BaseModel]) -> Iterator[type[BaseModel]]:
    waiting, seen = list(roots), set()
    while waiting:
        model = waiting.pop()
        if model not in seen:
            seen.add(model)
            yield model
            waiting += [found for field in model.model_fields.values() for found in models_in(field.annotation)]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from models_in(part)


def integration(**fields: Any) -> dict[str, Any]:
    base = {"kind": "integration", "key": "a", "name": "A", "base_url": "https://a.example", "auth": {"type": "none"}}
    return base | fields


def oauth2(**fields: Any) -> dict[str, Any]:
    token = {"endpoint": "https://a.example/token"}
    return integration(auth={"type": "oauth2", "grant": "client_credentials", "token": token, **fields})


def test_it_is_json_and_says_by_which_draft() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert [each["$ref"] for each in SCHEMA["oneOf"]] == ["#/$defs/Integration", "#/$defs/Profile"]


@pytest.mark.parametrize("model", list(models(Integration, Profile)), ids=lambda model: model.__name__)
def test_every_model_stands_there_with_every_key_and_takes_no_other(model: type[BaseModel]) -> None:
    found = SCHEMA["$defs"][model.__name__]

    assert set(found["properties"]) == {field.alias or name for name, field in model.model_fields.items()}
    assert found["additionalProperties"] is False
    assert found["description"], "editors show it"
    assert set(found.get("required", [])) == {
        field.alias or name for name, field in model.model_fields.items() if field.is_required()
    }


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(SCHEMA)

    assert set(re.findall(r'"#/\$defs/(\w+)"', text)) <= set(SCHEMA["$defs"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_example_is_valid_by_it(file: Path) -> None:
    documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))

    assert [fits(document, SCHEMA) for document in documents] == [True] * len(documents)


@pytest.mark.parametrize(
    "document",
    [
        integration(),
        integration(test={"path": "me", "query": {"a": "b", "c": ["d", "e"]}, "success": [200, "2xx", "200-204"]}),
        integration(test={"path": "me", "query": [["a", "b"]]}),
        oauth2(lifetime=3600),
        oauth2(lifetime=1.5),
        oauth2(lifetime="90"),
        oauth2(lifetime="24h"),
        {"kind": "profile", "name": "dev"},
        {"kind": "profile", "name": "dev", "adapters": {"a": "b", "c": {"account": "d"}, "e": {"per_subject": True}}},
    ],
)
def test_what_loads_is_not_underlined(document: dict[str, Any]) -> None:
    KINDS[document["kind"]].model_validate(document)

    assert fits(document, SCHEMA)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "integraton"},
        {"kind": "profile"},
        {"kind": "profile", "name": "no good"},
        {"kind": "profile", "name": "dev", "adapters": {"a": 5}},
        {"kind": "profile", "name": "dev", "adapters": {"a": {"acount": "b"}}},
        integration(base_ulr="https://a.example"),
        integration(base_url=5),
        integration(auth={"type": "oauth"}),
        integration(auth={"type": "api_token"}),
        integration(auth={"type": "api_token", "place": []}),
        integration(auth={"type": "api_token", "place": [{"in": "heder", "name": "a", "value": "b"}]}),
        integration(ports=[0]),
        integration(unauthorized=[99]),
        integration(send={"headers": {"A": 1}}),
        integration(test={"path": "me", "method": "DELETE"}),
        integration(test={"path": "me", "success": ["2x"]}),
        integration(test={"path": "me", "query": {"a": 1}}),
        oauth2(grant="password"),
        oauth2(lifetime=0),
        oauth2(lifetime="soon"),
        oauth2(lifetime="PT1H"),
    ],
)
def test_what_does_not_load_is_underlined(document: dict[str, Any]) -> None:
    assert not fits(document, SCHEMA)
