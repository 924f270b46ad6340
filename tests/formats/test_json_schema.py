"""Checks against JSON schemas: right and wrong documents, and schemas that no check may follow."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.formats.json_schema import StepsSpent, fits
from askonce.formats.schema_patterns import SchemaUncheckable, search_of

STEPS = 20_000

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def check(schema: Any, document: Any, steps: int = STEPS) -> bool:
    return fits(schema, document, 1_000, steps)


@st.composite
def cases(draw: st.DrawFn, depth: int = 3) -> tuple[Any, Any, Any]:
    """A schema, a document that fits it, and one that does not."""
    kinds = ["integer", "string", "boolean", "null", "enum", "number", "const"]
    kinds += ["object", "array", "optional", "reference"] if depth else []
    kind = draw(st.sampled_from(kinds))
    if kind == "integer":
        low = draw(st.integers(-99, 99))
        right = draw(st.integers(low, low + 50))
        schema = {"type": "integer", "minimum": low, "maximum": low + 50}
        return (
            schema,
            right,
            draw(st.sampled_from([low - 1, low + 51, right + 0.5, "7", None, True])),
        )
    if kind == "number":
        return {"type": "number"}, draw(st.floats(-1e9, 1e9)), draw(st.sampled_from(["1", True]))
    if kind == "string":
        text = draw(st.text(min_size=2, max_size=5))
        schema = {"type": "string", "minLength": 2, "maxLength": 5}
        return schema, text, draw(st.sampled_from(["", "abcdef", 3, ["ab"]]))
    if kind == "boolean":
        return {"type": "boolean"}, draw(st.booleans()), draw(st.sampled_from([0, "true", None]))
    if kind == "null":
        return {"type": "null"}, None, draw(st.sampled_from([0, False, "null", {}]))
    if kind == "enum":
        values = draw(st.lists(st.text(max_size=3), min_size=1, max_size=4, unique=True))
        return {"enum": values}, draw(st.sampled_from(values)), "four"
    if kind == "const":
        return {"const": {"a": [1]}}, {"a": [1.0]}, draw(st.sampled_from([{"a": [True]}, {"a": 1}]))
    schema, right, wrong = draw(cases(depth - 1))
    if kind == "array":
        rest = draw(st.lists(st.just(right), max_size=3))
        return {"type": "array", "items": schema}, rest, [*rest, wrong]
    if kind == "optional":
        return {"type": "object", "properties": {"x": schema}}, {}, {"x": wrong}
    if kind == "reference":
        holder = {"$defs": {"it": schema}, "properties": {"x": {"$ref": "#/$defs/it"}}}
        return holder, {"x": right}, {"x": wrong}
    name = draw(st.text(min_size=1, max_size=4))
    whole = {
        "type": "object",
        "properties": {name: schema},
        "required": [name],
        "additionalProperties": False,
    }
    broken = draw(st.sampled_from([{}, {name: wrong}, {name: right, name + "x": 1}, [], None]))
    return whole, {name: right}, broken


def nests_reference(schema: Any) -> bool:
    """Whether a local reference stands below the root, where its pointer leads elsewhere."""
    return str(schema).count("$defs") > 2 or ("$defs" in str(schema) and "$defs" not in schema)


@given(cases())
def test_documents_that_fit_do_and_others_do_not(case: tuple[Any, Any, Any]) -> None:
    schema, right, wrong = case
    if nests_reference(schema):
        return
    assert check(schema, right)
    assert not check(schema, wrong)


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        (PERSON, {"name": "A", "age": 3}, {"name": "A"}),
        ({"type": ["string", "null"]}, None, 1),
        ({"anyOf": [{"type": "null"}, PERSON]}, None, {}),
        ({"type": "string", "nullable": True}, None, 1),
        ({"pattern": "^(a+)+$"}, "a" * 50, "a" * 50 + "!"),
        ({"pattern": "^\\u00e9t"}, "été", "ete"),
        ({"multipleOf": 0.01}, 19.99, 19.995),
        ({"uniqueItems": True}, [1, True, {"a": 1}, {"a": True}], [{"a": 1}, {"a": 1.0}]),
        ({"patternProperties": {"^x": {"type": "integer"}}}, {"x1": 1}, {"x1": "1"}),
        (
            {"patternProperties": {"^x": True}, "additionalProperties": False},
            {"x1": 1},
            {"x1": 1, "y": 1},
        ),
        ({"prefixItems": [{"type": "integer"}], "items": False}, [1], [1, 2]),
        ({"unevaluatedProperties": False, "properties": {"a": True}}, {"a": 1}, {"b": 1}),
        ({"if": {"type": "string"}, "then": {"minLength": 2}}, 1, "a"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "integer"}]},
            [1, "x"],
            ["x"],
        ),
        # A nested `$schema` changes nothing: it must not bring the library's own keywords back.
        (
            {"items": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^a+$"}},
            ["aa"],
            ["ab"],
        ),
        ({"definitions": {"n": {"items": {"$ref": "#/definitions/n"}, "type": "array"}},
          "$ref": "#/definitions/n"}, [[], [[]]], [[1]]),
        ({"type": "string", "format": "date"}, "tomorrow", 7),
        (False, [], None),
    ],
)  # fmt: skip
def test_keywords(schema: Any, right: Any, wrong: Any) -> None:
    assert schema is False or check(schema, right)
    assert not check(schema, wrong)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {"required": "name"},
        {"properties": []},
        {"minimum": "5"},
        {"enum": 1},
        {"anyOf": [1]},
        {"items": {"multipleOf": 0}},
        {"items": [{"type": "integer"}]},  # a list, in the dialect that has none
        {"$ref": "https://schemas.example/person.json"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"pattern": "(?=a)"},
        {"pattern": "("},
        {"pattern": "a" * 2_000},
        {"patternProperties": {"^x": True}, "unevaluatedProperties": False},
        {"description": "x" * 300_000},
        {"patternProperties": {f"^{n}$": True for n in range(100)}},
        "a text",
        [1],
    ],
)
def test_a_schema_that_cannot_be_checked_is_no_verdict(schema: Any) -> None:
    with pytest.raises(SchemaUncheckable):
        check(schema, [1.5])


def test_a_schema_nested_beyond_all_bounds_cannot_be_checked() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5_000):
        schema = {"items": schema}
    document: list[Any] = []
    for _ in range(900):
        document = [document]
    with pytest.raises(SchemaUncheckable):
        check(schema, document)
    with pytest.raises(SchemaUncheckable):
        check({"$ref": "#/$defs/n", "$defs": {"n": {"items": {"$ref": "#/$defs/n"}}}}, document)


def doubling(rounds: int) -> dict[str, Any]:
    """A small schema that takes two to the power of `rounds` steps."""
    defs: dict[str, Any] = {f"n{rounds}": {"type": "integer"}}
    for n in range(rounds):
        defs[f"n{n}"] = {"allOf": [{"$ref": f"#/$defs/n{n + 1}"}] * 2}
    return {"$ref": "#/$defs/n0", "$defs": defs}


def test_a_check_ends_when_its_steps_are_spent() -> None:
    assert check(doubling(5), 1)
    assert not check(doubling(5), "1")
    with pytest.raises(StepsSpent):
        check(doubling(60), 1, steps=2_000)
    with pytest.raises(StepsSpent):
        check({"items": {"enum": [[n] for n in range(1_000)]}}, [[999]] * 1_000)
    names = {f"n{n}": n for n in range(2_000)}
    with pytest.raises(StepsSpent):
        check({"patternProperties": {f"{n}$": True for n in range(60)}}, names)
    # RE2 takes many seconds for this one, in one call.
    with pytest.raises(StepsSpent):
        check({"pattern": ".{0,400}.{0,400}z"}, "a" * 1_000_000)
    assert check({"pattern": ".{0,400}.{0,400}z"}, "a" * 100 + "z")
    # The library looks through the whole schema for each reference by name.
    named = {f"n{n}": {"$anchor": f"n{n}", "type": "integer"} for n in range(3_000)}
    with pytest.raises(StepsSpent):
        check({"items": {"$ref": "#n1"}, "$defs": named}, [1] * 50)
    assert check({"items": {"$ref": "#/$defs/n1"}, "$defs": named}, [1] * 50)
    small = {"n1": {"$anchor": "n1", "type": "integer"}}
    assert check({"items": {"$ref": "#n1"}, "$defs": small}, [1] * 50)
    assert not check({"items": {"$ref": "#n1"}, "$defs": small}, [1, "1"])


def test_without_re2_only_patterns_that_cannot_backtrack_are_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    search_of.cache_clear()
    try:
        assert search_of(r"^\d{4}-\d{2}$")("2026-11")
        assert not search_of(r"^[a-z+*]+$")("A")
        for pattern in ("^(a+)+$", "(a|a)*b", "a*a*a*b", "a?" * 9 + "b", "(ab){2,9}", "("):
            with pytest.raises(SchemaUncheckable):
                search_of(pattern)
        with pytest.raises(SchemaUncheckable):
            search_of("a+b")("a" * 1_000)
    finally:
        search_of.cache_clear()
