"""Laws of documents' tags."""

import re

from hypothesis import given
from hypothesis import strategies as st

from askonce.core.document_tags import document_tags, encoded_id, expand, split, tag_of, version_tag

TAG = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,256}")
IDS = st.text(min_size=1, max_size=300) | st.text("ab@%~,é ", min_size=1, max_size=300)
VERSIONS = st.text(max_size=150) | st.text("ab@%~,é ", max_size=150)
TAGS = st.sampled_from(["doc:7", "doc:7@", "doc:7@v1", "doc:8", "doc:8@v2", "doc:", "hours", "d"])


@given(st.sets(TAGS))
def test_expanding_twice_is_expanding_once(tags: set[str]) -> None:
    once = expand(tags)

    assert expand(once) == once
    assert tags <= set(once)


@given(st.lists(st.tuples(IDS, VERSIONS), max_size=5))
def test_tags_of_documents_need_no_expanding(documents: list[tuple[str, str]]) -> None:
    tags = document_tags(documents)

    assert expand(tags) == tags
    assert all(TAG.fullmatch(tag) for tag in tags)


@given(st.tuples(IDS, VERSIONS), st.tuples(IDS, VERSIONS))
def test_different_documents_never_share_a_tag(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (tag_of(one[0]) == tag_of(other[0])) == (one[0] == other[0])
    assert (version_tag(*one) == version_tag(*other)) == (one == other)


@given(IDS, VERSIONS)
def test_a_tag_comes_apart_again(name: str, version: str) -> None:
    parts = split(version_tag(name, version))

    assert parts is not None
    assert parts[0] == encoded_id(name)
    assert (parts[1] == "") == (version == "")


@given(st.text(max_size=7), st.text(min_size=1, max_size=400))
def test_a_short_prefix_of_an_id_is_one_of_its_tag(prefix: str, rest: str) -> None:
    assert encoded_id(prefix + rest).startswith(encoded_id(prefix))
