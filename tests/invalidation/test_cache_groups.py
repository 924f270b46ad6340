"""Cache groups: lists of strings read strictly, groups as tags, and what a response invalidates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.invalidation import cache_groups
from askonce.invalidation.target import Invalidation

ORIGIN = "https://api.example.com/openai"
NAMES = st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)), unique=True)


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("", ()),
        ('"prices"', ("prices",)),
        ('  "prices" ,\t"a b",  "c,d"  ', ("prices", "a b", "c,d")),
        (r'"say \"hi\"", "back\\slash"', ('say "hi"', "back\\slash")),
        ('"a";p;q=1;r="x;y, z";s=tok/en:*;t=:aGk=:;u=?1;v=1.5;w=@12;*k=-3, "b"', ("a", "b")),
        ('"a", "a"', ("a",)),
        ('""', ("",)),
    ],
)
def test_lists_of_strings(field: str, names: tuple[str, ...]) -> None:
    assert cache_groups.parse(field) == names


@pytest.mark.parametrize(
    "field",
    [
        "prices",  # a token
        '"a" "b"',
        '"a",',
        ',"a"',
        '"a',
        '"a", 1',
        '("a" "b")',
        r'"a\n"',
        '"é"',
        '"a\tb"',
        '"a"; P=1',
        '"a";p=',
        "'a'",
        '"a";;p',
    ],
)
def test_what_is_no_list_of_strings_says_nothing(field: str) -> None:
    assert cache_groups.parse(field) is None
    assert cache_groups.named([("cache-groups", field)], cache_groups.GROUPS) == ()


@given(NAMES)
def test_what_is_written_is_read(names: list[str]) -> None:
    assert cache_groups.parse(cache_groups.serialize(names)) == tuple(names)


def test_several_lines_are_one_field_and_one_bad_line_spoils_it() -> None:
    good = [("Cache-Groups", '"a"'), ("x", "y"), ("cache-groups", '"b"')]
    assert cache_groups.named(good, cache_groups.GROUPS) == ("a", "b")
    assert cache_groups.named([*good, ("cache-groups", "c")], cache_groups.GROUPS) == ()


@given(st.sets(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)))
def test_each_group_is_a_tag_of_its_own_that_a_header_can_name(names: set[str]) -> None:
    tags = cache_groups.tags(ORIGIN, sorted(names)[:64])
    assert tags is not None
    assert len(set(tags)) == len(tags)
    assert not any(set(tag) & {",", " "} for tag in tags)


def test_tags_name_the_origin() -> None:
    assert cache_groups.tags(ORIGIN, ["a", "b c"]) == (
        "group:api.example.com:a",
        "group:api.example.com:b%20c",
    )
    assert cache_groups.tags("http://127.0.0.1:8000", ["a"]) == ("group:127.0.0.1:8000:a",)
    assert cache_groups.tags(ORIGIN, ["x" * 300]) is None
    assert cache_groups.tags(ORIGIN, [str(n) for n in range(65)]) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_only_responses_to_unsafe_requests_invalidate(method: str) -> None:
    headers = [("cache-group-invalidation", '"a"')]
    assert cache_groups.invalidated(ORIGIN, method, headers) is None
    found = cache_groups.invalidated(ORIGIN, "POST", headers)
    assert found == Invalidation(tags=("group:api.example.com:a",))
    assert cache_groups.invalidated(ORIGIN, "POST", [("cache-groups", '"a"')]) is None
