"""What callers ask of the cache, and what is made of what they get wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.directives import MAX_TAGS, NONE, Directives, parse


def test_a_call_that_asks_for_nothing_costs_nothing() -> None:
    assert parse({"content-type": "application/json"}) is NONE


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"cache-control": "no-cache"}, Directives(no_cache=True)),
        ({"cache-control": "No-Store"}, Directives(no_store=True)),
        ({"cache-control": " only-if-cached "}, Directives(only_if_cached=True)),
        ({"cache-control": "max-age=60"}, Directives(max_age=60)),
        ({"cache-control": "max-age=0"}, Directives(max_age=0)),
        ({"cache-control": "max-age = 60"}, Directives(max_age=60)),
        ({"cache-control": "max-age=00000000000060"}, Directives(max_age=60)),
        ({"cache-control": "no-store=1"}, Directives(no_store=True)),
        ({"cache-control": 'no-cache="Authorization"'}, Directives(no_cache=True)),
        ({"cache-control": "only-if-cached =?1"}, Directives(only_if_cached=True)),
        (
            {"cache-control": 'no-cache, max-age="5", x=y'},
            Directives(no_cache=True, max_age=5, ignored=("cache-control: x",)),
        ),
        ({"askonce-ttl": "1h30m"}, Directives(ttl=5_400)),
        ({"askonce-ttl": "0"}, Directives(ttl=0)),
        ({"askonce-tags": "b, a,, a"}, Directives(tags=("a", "b"))),
        ({"askonce-namespace": "team.a-1"}, Directives(subdivision="team.a-1")),
    ],
)
def test_what_is_understood(headers: dict[str, str], expected: Directives) -> None:
    assert parse(headers) == expected


@pytest.mark.parametrize(
    ("headers", "ignored"),
    [
        ({"cache-control": "max-age=-1"}, "cache-control: max-age"),
        ({"cache-control": "max-age=soon"}, "cache-control: max-age"),
        ({"cache-control": "max-age=\u0661"}, "cache-control: max-age"),
        ({"askonce-ttl": "-1h"}, "askonce-ttl"),
        ({"askonce-ttl": ""}, "askonce-ttl"),
        ({"askonce-ttl": "1e9"}, "askonce-ttl"),
        ({"askonce-tags": "caf\u00e9"}, "askonce-tags"),
        ({"askonce-tags": ",".join(f"t{n}" for n in range(MAX_TAGS + 1))}, "askonce-tags"),
    ],
)
def test_what_is_not_understood_is_ignored_and_reported(
    headers: dict[str, str], ignored: str
) -> None:
    directives = parse(headers)
    assert directives.ignored == (ignored,)
    assert (directives.max_age, directives.ttl) == (None, None)
    assert directives.tags_in_doubt == (ignored == "askonce-tags")


def test_what_is_reported_is_bounded_and_names_each_directive_once() -> None:
    many = ",".join(f"directive-{n}" for n in range(1_000))
    assert len(parse({"cache-control": many}).ignored) == 16
    assert parse({"cache-control": "x, X=1, x"}).ignored == ("cache-control: x",)


@pytest.mark.parametrize("text", ["", "a/b", "a~b", "a b", "\u00e9", "x" * 129, "a\nb"])
def test_a_namespace_in_doubt_is_never_guessed(text: str) -> None:
    directives = parse({"askonce-namespace": text})
    assert directives.identity_in_doubt
    assert directives.subdivision == ""


@given(
    st.dictionaries(
        st.sampled_from(["cache-control", "askonce-ttl", "askonce-tags", "askonce-namespace"]),
        st.text(max_size=40),
    )
)
def test_nothing_a_caller_writes_is_an_error(headers: dict[str, str]) -> None:
    directives = parse(headers)
    assert directives.ttl is None or directives.ttl >= 0
    assert len(directives.tags) <= MAX_TAGS
