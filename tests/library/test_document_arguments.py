"""`documents=` in the library, in both modes."""

import asyncio
from types import SimpleNamespace as Thing
from typing import Any

import pytest

from askonce import AsyncCache, Cache, ConfigError, document_tags

V1 = [("terms", "v1"), Thing(id="prices", metadata={}, page_content="5 euros")]
V2 = [("terms", "v2"), V1[1]]
QUESTION = "May I return it?"


@pytest.fixture(params=[Cache, AsyncCache])
def cache(request: pytest.FixtureRequest) -> Any:
    return Asked(request.param)


class Asked:
    """A cache of one mode, for as long as one function runs."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def run(self, steps: list[tuple[str, dict[str, Any]]]) -> list[Any]:
        if self._make is Cache:
            with Cache("memory:") as cache:
                return [self._call(cache, *step) for step in steps]

        async def awaited() -> list[Any]:
            async with AsyncCache("memory:") as cache:
                return [await self._call(cache, *step) for step in steps]

        return asyncio.run(awaited())

    def _call(self, cache: Any, verb: str, arguments: dict[str, Any]) -> Any:
        first = {"get": (QUESTION,), "put": (QUESTION, "30 days"), "invalidate": ()}[verb]
        return getattr(cache, verb)(*first, **arguments)


def test_an_answer_is_found_only_by_who_found_the_same_documents(cache: Asked) -> None:
    found = cache.run(
        [
            ("put", {"documents": V1}),
            ("get", {"documents": V1}),
            ("get", {"documents": V2}),
            ("get", {"documents": V1, "tags": ["hours"]}),
            ("get", {}),
        ]
    )

    assert [bool(one) for one in found] == [True, True, False, False, True]


@pytest.mark.parametrize(
    ("tag", "gone"),
    [("doc:terms", True), ("doc:terms@v1", True), ("doc:terms@v2", False), ("doc:terms@", False)],
)
def test_a_tag_means_itself_where_something_is_invalidated(
    cache: Asked, tag: str, gone: bool
) -> None:
    put, _, got = cache.run(
        [("put", {"documents": V1}), ("invalidate", {"tags": [tag]}), ("get", {})]
    )

    assert put
    assert (got is None) == gone


def test_tags_alone_imply_the_same(cache: Asked) -> None:
    found = cache.run(
        [
            ("put", {"tags": ["doc:terms@v1"]}),
            ("get", {"tags": ["doc:terms"]}),
            ("get", {"documents": [("terms", "v1")]}),
            ("get", {"tags": document_tags([("terms", "v1")])}),
        ]
    )

    # Without a version, the caller asks for an answer whose version is unknown.
    assert [bool(one) for one in found] == [True, False, True, True]


def test_documents_without_an_id_are_an_error(cache: Asked) -> None:
    with pytest.raises(ConfigError, match="document 1 has no id"):
        cache.run([("put", {"documents": [{"text": "30 days"}]})])


def test_a_remembered_function_goes_with_its_documents() -> None:
    with Cache("memory:") as cache:
        calls = []

        @cache.remember(tags=["doc:terms@v1"])
        def answer() -> str:
            calls.append(1)
            return "30 days"

        answer()
        answer()
        cache.invalidate(tags=["doc:terms"])
        answer()

    assert len(calls) == 2
