"""The page about keys lists what the code has: addresses, members, words, codings."""

import re

import pytest

from askonce.core.origins import OWN_HOSTS, PRESENTATION
from askonce.formats import end_user, hosted_tools
from askonce.formats.content_decoding import CODINGS
from askonce.pipeline.restless_members import WINDOW
from tests.docs.pages import read, rows, words

PAGE = "docs/how-it-works/keys.md"


def section(title: str) -> str:
    found = re.search(
        rf"^## {re.escape(title)}\n(.*?)(?=^## )", read(PAGE), re.MULTILINE | re.DOTALL
    )
    assert found is not None, title
    return found[1]


def test_the_providers_own_addresses_are_listed_and_no_others() -> None:
    assert [words(row[0])[0] for row in rows(PAGE, "own address")] == list(OWN_HOSTS)


def test_members_that_name_who_asks_are_listed() -> None:
    table = {tuple(words(row[0])): row[1:] for row in rows(PAGE, "members")}

    assert table[tuple(sorted(end_user.END_USER))] == ["do not count", "count"]
    text = section("Who asks")
    for host, members in PRESENTATION.items():
        assert {host, *members} <= set(words(text))


@pytest.mark.parametrize(
    "listed",
    [
        end_user.CONVERSATION_NOUNS,
        end_user.REFERENCE_WORDS,
        end_user.EARLIER_WORDS,
        end_user.TURN_NOUNS,
    ],
    ids=["nouns", "references", "earlier", "turns"],
)
def test_words_for_a_conversation_are_listed_in_one_row(listed: frozenset[str]) -> None:
    text = " ".join(section("Who asks").split())

    assert ", ".join(f"`{word}`" for word in sorted(listed)) in text


def test_words_for_a_lookup_are_listed_and_no_others() -> None:
    listed = [words(row[2]) if len(row) > 2 else [] for row in rows(PAGE, "lookup")]
    tables = [
        sorted(hosted_tools.LOOKUP_WORDS),
        sorted(map(" ".join, hosted_tools.LOOKUP_PAIRS)),
        sorted(hosted_tools.SEARCH_OF_TEXTS),
        sorted(hosted_tools.SEARCH_MODELS),
        sorted(hosted_tools.LIVE_VARIANTS),
        sorted(hosted_tools.QUIET_PLUGINS),
        sorted(hosted_tools.READING_PLUGIN_WORDS),
    ]

    assert listed[: len(tables)] == tables


def test_codings_and_the_window_are_listed() -> None:
    assert words(section("Compressed bodies"))[: len(CODINGS)] == list(CODINGS)
    assert f"{WINDOW} calls of a route" in section("What never repeats")
