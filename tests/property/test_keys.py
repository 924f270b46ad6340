"""The laws of the key: what makes two questions one question, and what never does."""

import json
import math
import string
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from askonce.core.errors import CallMalformed
from askonce.core.keys import CACHE_MARKERS, IdRenames, Media, Opaque, canonical, key_of
from askonce.core.models import Key

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = text.filter(lambda name: name not in CACHE_MARKERS)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | text
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, trees, max_size=5)


def meaning(value: Any) -> Any:
    """The law, said differently: two trees are one question iff these are equal."""
    match value:
        case dict():
            return (
                "object",
                frozenset((n, meaning(v)) for n, v in value.items() if v is not None),
            )
        case list():
            return ("array", tuple(meaning(item) for item in value))
        case bool() | None | str():
            return (type(value).__name__, value)
        case _:
            return ("number", value)  # Python compares 1 and 1.0 as equal, exactly


def shuffled(value: Any, draw: Any) -> Any:
    if isinstance(value, dict):
        order = draw(st.permutations(list(value)))
        return {name: shuffled(value[name], draw) for name in order}
    if isinstance(value, list):
        return [shuffled(item, draw) for item in value]
    return value


def parsed(body: str) -> bytes:
    return canonical(msgspec.json.decode(body))


@given(objects, objects)
def test_two_trees_share_canonical_bytes_exactly_when_they_mean_the_same(
    one: Any, other: Any
) -> None:
    assert (canonical(one) == canonical(other)) == (meaning(one) == meaning(other))


@given(objects, st.data())
def test_a_small_change_of_a_tree_is_seen(tree: Any, data: Any) -> None:
    assume(tree)
    name = data.draw(st.sampled_from(sorted(tree)))
    other = {**tree, name: data.draw(scalars)}
    assert (canonical(tree) == canonical(other)) == (meaning(tree) == meaning(other))


@given(objects, st.data())
def test_the_order_of_object_keys_is_not_content(tree: Any, data: Any) -> None:
    assert canonical(shuffled(tree, data.draw)) == canonical(tree)


@given(st.lists(scalars, min_size=2, max_size=6), st.data())
def test_the_order_of_an_array_is(items: Any, data: Any) -> None:
    other = data.draw(st.permutations(items))
    assert (canonical(items) == canonical(other)) == (meaning(items) == meaning(other))


@given(objects)
def test_escaped_and_literal_characters_white_space_and_layout_are_the_same(tree: Any) -> None:
    plain = parsed(json.dumps(tree, ensure_ascii=False, separators=(",", ":")))
    assert parsed(json.dumps(tree, ensure_ascii=True, indent=2, sort_keys=True)) == plain


def test_escapes_of_every_spelling_are_the_same() -> None:
    spellings = [
        '{"a":"é/😀\\n"}',
        '{"a":"\\u00e9\\/\\ud83d\\ude00\\u000a"}',
        '{"\\u0061":"é/😀\\n"}',
    ]
    assert len({parsed(body) for body in spellings}) == 1


@given(text)
def test_unicode_normal_forms_are_different_questions(word: Any) -> None:
    composed, decomposed = (unicodedata.normalize(form, word) for form in ("NFC", "NFD"))
    assert (canonical({"q": composed}) == canonical({"q": decomposed})) == (composed == decomposed)


def test_nfc_and_nfd_of_a_word_differ() -> None:
    assert canonical({"q": "caf\u00e9"}) != canonical({"q": "cafe\u0301"})


@pytest.mark.parametrize("spelling", ["1", "1.0", "1e0", "10e-1", "0.1e1", "1.000"])
def test_spellings_of_one_number_are_the_same(spelling: Any) -> None:
    assert parsed(f'{{"n":{spelling}}}') == b'{"n":1}'


@pytest.mark.parametrize("other", ["true", '"1"', "[1]", "null", "1.5", "-1", "10"])
def test_but_what_only_looks_like_it_is_not(other: Any) -> None:
    assert parsed(f'{{"n":{other}}}') != parsed('{"n":1}')


@pytest.mark.parametrize("zero", ["0", "0.0", "-0", "-0.0", "0e5"])
def test_zero_has_no_sign(zero: Any) -> None:
    assert parsed(f'{{"n":{zero}}}') == b'{"n":0}'


@given(st.integers(-(10**400), 10**400))
def test_big_integers_keep_every_digit(number: Any) -> None:
    assert canonical({"n": number}) == b'{"n":%d}' % number
    assert canonical({"n": number}) != canonical({"n": number + 1})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_whole_float_is_its_integer_and_any_other_keeps_its_value(number: Any) -> None:
    written = canonical({"n": number})
    assert msgspec.json.decode(written) == {"n": number}
    if number.is_integer():
        assert written == canonical({"n": int(number)})


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("wrap", [lambda value: value, Opaque], ids=["protocol", "opaque"])
def test_what_json_cannot_say_has_no_key(number: Any, wrap: Any) -> None:
    with pytest.raises(CallMalformed):
        canonical({"n": wrap([number])})


def test_half_a_character_has_no_key() -> None:
    with pytest.raises(CallMalformed):
        canonical({"q": "\ud800"})


def test_an_integer_too_long_to_write_has_no_key() -> None:
    with pytest.raises(CallMalformed):
        canonical({"n": 1 << 100_000})


def test_endless_nesting_has_no_key() -> None:
    tree: list[Any] = []
    for _ in range(100_000):
        tree = [tree]
    with pytest.raises(CallMalformed):
        canonical({"q": tree})


@given(objects, names)
def test_a_null_member_is_an_absent_one_at_any_depth(tree: Any, name: Any) -> None:
    assume(name not in tree)
    assert canonical({**tree, name: None}) == canonical(tree)
    assert canonical({"deep": [{**tree, name: None}]}) == canonical({"deep": [tree]})


def test_a_null_in_an_array_is_an_item() -> None:
    assert canonical({"a": [None]}) != canonical({"a": []})


@given(objects, names, scalars.filter(lambda value: value is not None))
def test_an_unknown_member_changes_the_question(tree: Any, name: Any, value: Any) -> None:
    assume(name not in tree)
    assert canonical({**tree, name: value}) != canonical(tree)


@given(objects, st.sampled_from(sorted(CACHE_MARKERS)), trees)
def test_cache_markers_are_not_content_at_any_depth(tree: Any, marker: Any, value: Any) -> None:
    assert canonical({**tree, marker: value}) == canonical(tree)
    assert canonical({"deep": [{**tree, marker: value}]}) == canonical({"deep": [tree]})


@given(objects, names)
def test_in_a_callers_own_json_every_null_counts(tree: Any, name: Any) -> None:
    assume(name not in tree)
    nulled = {"schema": Opaque({"deep": [{**tree, name: None}]})}
    assert canonical(nulled) != canonical({"schema": Opaque({"deep": [tree]})})


@pytest.mark.parametrize("marker", sorted(CACHE_MARKERS))
def test_in_a_callers_own_json_a_marker_is_a_name_like_any_other(marker: Any) -> None:
    assert canonical({"schema": Opaque({marker: {"type": "string"}})}) != canonical(
        {"schema": Opaque({})}
    )


@given(objects, st.data())
def test_a_callers_own_json_keeps_its_order_and_is_free_of_spelling(tree: Any, data: Any) -> None:
    other = shuffled(tree, data.draw)
    same = json.dumps(other) == json.dumps(tree)
    assert (canonical(Opaque(other)) == canonical(Opaque(tree))) == same
    assert canonical(Opaque({"n": 1.0})) == canonical(Opaque({"n": 1}))


@given(text, text)
def test_media_are_their_content_and_never_a_text(payload: Any, other: Any) -> None:
    written = canonical({"data": Media(payload)})
    assert written == canonical({"data": Media(payload)})
    assert (written == canonical({"data": Media(other)})) == (payload == other)
    for lookalike in (payload, other, written.decode(), written.decode()[8:-1]):
        assert canonical({"data": lookalike}) != written


def test_media_are_hashed_not_carried() -> None:
    assert len(canonical({"data": Media("A" * 10_000_000)})) < 100


def test_random_ids_are_renamed_by_their_first_appearance() -> None:
    one, other = IdRenames(), IdRenames()
    assert [one(i) for i in ("toolu_x", "toolu_y", "toolu_x")] == ["#0", "#1", "#0"]
    assert [other(i) for i in ("call_1", "call_2", "call_1")] == ["#0", "#1", "#0"]


@given(st.lists(text, max_size=8))
def test_renaming_keeps_who_is_who(ids: Any) -> None:
    rename = IdRenames()
    renamed = [rename(identifier) for identifier in ids]
    assert len(set(renamed)) == len(set(ids))
    assert [ids.index(i) for i in ids] == [renamed.index(i) for i in renamed]


# --- the parts around the question ----------------------------------------------------------


def key(**parts: Any) -> Key:
    return key_of(parts.pop("namespace", "n"), parts.pop("format_name", "f"), **parts)


def test_a_value_cannot_pose_as_another_field() -> None:
    assert canonical({"stop": "a", "user": "b"}) != canonical({"stop": "auser: b"})
    assert canonical({"stop": 'a","user":"b'}) != canonical({"stop": "a", "user": "b"})


short = st.text(string.digits + ":ab", max_size=6)
parts = st.tuples(
    short,  # namespace
    short,  # format
    short,  # origin
    short,  # path
    st.lists(st.tuples(short, short), max_size=2).map(tuple),
    short,
    st.integers(0, 12),
)


def digest(
    namespace: Any,
    format_name: Any,
    origin: Any,
    path: Any,
    headers: Any,
    asked: Any,
    sample: Any = 0,
) -> Any:
    return key_of(
        namespace, format_name, asked, origin=origin, path=path, headers=headers, sample=sample
    ).digest


@given(parts, parts)
def test_no_part_runs_into_the_next(one: Any, other: Any) -> None:
    assert (digest(*one) == digest(*other)) == (one == other)


@given(st.text(string.digits + ":ab", min_size=2, max_size=12), st.data())
def test_moving_the_border_between_two_parts_is_seen(joined: Any, data: Any) -> None:
    cut, other = (data.draw(st.integers(0, len(joined))) for _ in range(2))
    one = digest(joined[:cut], joined[cut:], "", "", (), {})
    two = digest(joined[:other], joined[other:], "", "", (), {})
    assert (one == two) == (cut == other)


@pytest.mark.parametrize(
    "other",
    [
        {"namespace": "m"},
        {"format_name": "g"},
        {"origin": "https://b.example"},
        {"path": "/v2/messages"},
        {"headers": [("anthropic-beta", "y")]},
        {"headers": []},
        {"sample": 1},
        {"asked": {"q": "why"}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_every_part_separates_keys(other: Any) -> None:
    same: dict[str, Any] = {
        "asked": {"q": "what"},
        "origin": "https://a.example",
        "path": "/v1/messages",
        "headers": [("anthropic-beta", "x")],
    }
    assert key(**same) == key(**same)
    assert key(**{**same, **other}) != key(**same)
    # The digest itself differs: an entry that lost its namespace still cannot be taken for ours.
    assert key(**{**same, **other}).digest != key(**same).digest


segments = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=12)


@given(segments, segments, objects)
def test_a_printed_key_reads_back(namespace: Any, format_name: Any, asked: Any) -> None:
    made = key_of(namespace, format_name, asked)
    assert Key.parse(str(made)) == made
    assert len(made.digest) == 32


@pytest.mark.parametrize(
    "bad", ["", "a/b", "a/b/zz", "a/b/" + "0" * 62, "/b/" + "0" * 64, "a//" + "0" * 64]
)
def test_what_is_not_a_key_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"not a key|hexadecimal"):
        Key.parse(bad)


def test_version_2_never_drifts() -> None:
    # Pinned: a change of this digest forgets every stored answer, so it needs a new version.
    asked = {"model": "m", "messages": [{"role": "user", "content": "é"}], "top_k": 1.0}
    pinned = "6f64d293fae7a22d9451ad97d900a37ef4987618ab49223b8a9e0d4daf2cf38d"
    assert key(namespace="team-a", format_name="chat", asked=asked).digest.hex() == pinned
