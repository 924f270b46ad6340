"""Documents' tags, out of every shape in which a retriever or a request names them."""

from datetime import UTC, datetime
from types import SimpleNamespace as Thing
from typing import Any

import pytest

import askonce
from askonce.core.document_tags import (
    Document,
    Path,
    document_tags,
    expand,
    joined,
    read_path,
    split,
    tag_of,
    tags_in,
    version_of,
    version_tag,
)
from askonce.core.errors import ConfigError

HASH = version_of(b"30 days")


def test_a_document_has_the_tag_of_all_its_versions_and_that_of_its_own() -> None:
    assert Document("7", "v3").tags == ("doc:7", "doc:7@v3")
    assert Document("7").tags == ("doc:7", "doc:7@")


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("https://wiki/returns?lang=de#top", "doc:https://wiki/returns?lang=de#top"),
        ("a@b", "doc:a%40b"),
        ("a,b c", "doc:a%2Cb%20c"),
        ("100%", "doc:100%25"),
        ("~home", "doc:%7Ehome"),
        ("Zürich", "doc:Z%C3%BCrich"),
        ("\ud800", "doc:%ED%A0%80"),
    ],
)
def test_what_a_tag_cannot_hold_is_percent_encoded(name: str, tag: str) -> None:
    assert tag_of(name) == tag


def test_long_ids_keep_their_beginning_and_end_in_their_hash() -> None:
    one, other = (version_tag("wiki/" + "x" * 500 + end, "v" * 300) for end in "ab")

    assert one != other
    assert one.startswith("doc:wiki/xxx")
    assert len(one) == 256


@pytest.mark.parametrize(
    ("tag", "parts"),
    [
        ("doc:7", ("7", None)),
        ("doc:7@", ("7", "")),
        ("doc:7@v3", ("7", "v3")),
        ("doc:7@v@3", ("7", "v@3")),
        ("doc:", None),
        ("doc:@v3", None),
        ("product:7", None),
    ],
)
def test_a_tag_is_split(tag: str, parts: Any) -> None:
    assert split(tag) == parts


@pytest.mark.parametrize(
    ("given", "expanded"),
    [
        ([], []),
        (["product:7"], ["product:7"]),
        (["doc:7@v3"], ["doc:7", "doc:7@v3"]),
        (["doc:7"], ["doc:7", "doc:7@"]),
        (["doc:7", "doc:7@v3"], ["doc:7", "doc:7@v3"]),
        (["doc:7@"], ["doc:7", "doc:7@"]),
        (["doc:7@v1", "doc:7@v2"], ["doc:7", "doc:7@v1", "doc:7@v2"]),
    ],
)
def test_a_tag_implies_others(given: list[str], expanded: list[str]) -> None:
    assert expand(given) == tuple(expanded)


def test_of_a_document_a_new_answer_carries_only_the_askers_version() -> None:
    carried = ["doc:7", "doc:7@v2", "doc:9", "doc:9@v1", "product:1"]

    assert joined(["doc:7", "doc:7@v3", "hours"], carried) == (
        "doc:7",
        "doc:7@v3",
        "doc:9",
        "doc:9@v1",
        "hours",
        "product:1",
    )


LANGCHAIN = Thing(id=None, metadata={"source": "a.md", "etag": "e1"}, page_content="30 days")
NODE = Thing(id_="n1", ref_doc_id="d1", metadata={}, text="30 days", hash="h1")


@pytest.mark.parametrize(
    ("document", "tag"),
    [
        ("7", "doc:7@"),
        ("a@b", "doc:a%40b@"),
        (7, "doc:7@"),
        (("7", "v3"), "doc:7@v3"),
        ((7, 3), "doc:7@3"),
        (("7", None), "doc:7@"),
        ({"id": "7", "version": "v3"}, "doc:7@v3"),
        ({"doc_id": 7, "hash": "h"}, "doc:7@h"),
        ({"document_id": "7", "etag": 'W/"1"'}, 'doc:7@W/"1"'),
        ({"source": "a.md", "text": "30 days"}, f"doc:a.md@{HASH}"),
        ({"url": "u", "content": b"30 days"}, f"doc:u@{HASH}"),
        ({"path": "p"}, "doc:p@"),
        ({"id": 0, "version": 0}, "doc:0@0"),
        ({"id": "7", "metadata": {"version": "v3"}}, "doc:7@v3"),
        (
            {"id": "7", "updated_at": datetime(2026, 1, 31, tzinfo=UTC)},
            "doc:7@2026-01-31T00:00:00+00:00",
        ),
        ({"id": "7", "last_modified": 1767225600.5}, "doc:7@1767225600.5"),
        ({"page_content": "30 days", "metadata": {"source": "a.md"}}, f"doc:a.md@{HASH}"),
        (LANGCHAIN, "doc:a.md@e1"),
        ((LANGCHAIN, 0.83), "doc:a.md@e1"),
        (Thing(id="c7", metadata={}, page_content="30 days"), f"doc:c7@{HASH}"),
        (Thing(node=NODE, score=0.83), "doc:d1@h1"),
        (NODE, "doc:d1@h1"),
        (Document("7", "v3"), "doc:7@v3"),
    ],
)
def test_documents_of_every_usual_shape(document: Any, tag: str) -> None:
    assert document_tags([document]) == (tag.rpartition("@")[0], tag)


def test_other_fields_may_be_named() -> None:
    chunk = {"id": "chunk-9", "version": "1", "metadata": {"page": "terms", "sha": "abc"}}

    assert document_tags([chunk], id_field="page", version_field="sha") == (
        "doc:terms",
        "doc:terms@abc",
    )


def test_the_package_exports_it() -> None:
    assert askonce.document_tags(["7"]) == ("doc:7", "doc:7@")
    assert askonce.document_tags([]) == ()


@pytest.mark.parametrize(
    ("documents", "complaint"),
    [
        ("7", "documents is not a list of documents but str; put it in a list"),
        ({"id": "7"}, "documents is not a list of documents but dict; put it in a list"),
        (None, "documents is not a list of documents but NoneType; put it in a list"),
        ([("a", "b", "c")], "document 1 is not a pair of id and version"),
        (["7", {"text": "30 days"}], "document 2 has no id; give it one of id, doc_id, "),
        ([""], "document 1 has an empty id"),
        ([{"id": True}], "document 1 has bool for its id; write a text"),
        ([{"id": "7", "version": ["v3"]}], "document 1 has list for its version"),
        ([None], "document 1 has no id"),
    ],
)
def test_what_names_no_document_is_one_clear_line(documents: Any, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        document_tags(documents)

    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("metadata.documents", ("metadata", "documents")),
        ("extra.context[*].id", ("extra", "context", None, "id")),
        ("a[*][*]", ("a", None, None)),
    ],
)
def test_a_path_is_read(text: str, steps: Any) -> None:
    assert read_path(text) == Path(text, steps)


@pytest.mark.parametrize("text", ["", ".", "a..b", "a[0]", "[*]", "a.[*]", "a[*", " a", "a.*"])
def test_a_bad_path_is_one_clear_line(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a path; write it as"):
        read_path(text)


@pytest.mark.parametrize(
    ("body", "tags"),
    [
        ({}, ()),
        ({"metadata": "x"}, ()),
        ({"metadata": {"documents": None}}, ()),
        ({"metadata": {"documents": ""}}, ()),
        ({"metadata": {"documents": "7"}}, ("doc:7", "doc:7@")),
        ({"metadata": {"documents": "7@v3, 9@v1"}}, ("doc:7", "doc:7@v3", "doc:9", "doc:9@v1")),
        ({"metadata": {"documents": ["7@v3"]}}, ("doc:7", "doc:7@v3")),
        ({"metadata": {"documents": {"id": "7", "etag": "e"}}}, ("doc:7", "doc:7@e")),
        ({"metadata": {"documents": [{"id": "a@b", "version": 1}]}}, ("doc:a%40b", "doc:a%40b@1")),
        ({"metadata": {"documents": 7}}, ("doc:7", "doc:7@")),
        ({"context": [{"id": "7"}, {"x": 1}, "?", {"id": "9@2"}]},
         ("doc:7", "doc:7@", "doc:9", "doc:9@2")),
        ({"context": {"id": "7"}}, ()),
    ],
)  # fmt: skip
def test_tags_out_of_a_body(body: Any, tags: Any) -> None:
    assert tags_in(body, [read_path("metadata.documents"), read_path("context[*].id")]) == tags


@pytest.mark.parametrize("leaf", [True, "@v3", {"text": "x"}, [None]])
def test_what_is_no_document_in_a_body_is_said(leaf: Any) -> None:
    with pytest.raises(ConfigError, match=r"^documents: a document there "):
        tags_in({"documents": leaf}, [read_path("documents")])


def test_a_million_documents_and_nested_lists_take_little_time() -> None:
    path = [read_path("documents")]
    nested: Any = "7"
    for _ in range(5_000):
        nested = [nested]
    assert tags_in({"documents": nested}, path) == ("doc:7", "doc:7@")
    assert tags_in({"documents": ["7"] * 1_000}, path) == ("doc:7", "doc:7@")
    many = [str(number) for number in range(1_000_000)]
    with pytest.raises(ConfigError, match="more than 256 documents"):
        tags_in({"documents": many}, path)
