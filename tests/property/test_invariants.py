"""What must never happen (the design's section 1), each as a property of whole histories."""

import hashlib
import random
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.core.errors import EntryDamaged, StoreError
from askonce.core.models import Call, Entry, Key, Lease, Selection
from askonce.stores.base import BaseStore
from askonce.stores.memory.store import MemoryStore
from tests.fixtures.scripted import (
    SSE_HEADERS,
    CacheUnderTest,
    Clock,
    Script,
    call,
    said,
    streamed,
)
from tests.pipeline.test_pipeline import text_of

BOTH = pytest.mark.parametrize("name", ["blocking", "suspending"])


class Echo:
    """A provider whose answer names everything that could change it: its own oracle."""

    def __init__(self) -> None:
        self.calls = 0

    @staticmethod
    def answer(asked: Call) -> str:
        body = msgspec.json.decode(asked.body)
        for shown_only in ("stream", "stream_options", "user", "metadata"):
            body.pop(shown_only, None)
        # One number, and a null that is no different from nothing: the same question.
        body = {name: value for name, value in body.items() if value is not None}
        if body.get("temperature") == 0:
            body["temperature"] = 0
        matter = {k: v for k, v in asked.headers.items() if k.startswith("openai")}
        whole = [
            asked.namespace,
            asked.headers.get("askonce-namespace"),
            asked.origin,
            asked.path,
            matter,
            body,
        ]
        return hashlib.sha256(msgspec.json.encode(whole, order="sorted")).hexdigest()

    async def ask(self, asked: Call, body: bytes, *, raw: bool = False) -> Script:
        self.calls += 1
        text = self.answer(asked)
        if msgspec.json.decode(asked.body).get("stream"):
            return Script(*streamed(text[:20], text[20:]), headers=SSE_HEADERS)
        return Script(said(text))


bodies = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0, 0.0, 1]),
        "max_tokens": st.sampled_from([1, 2]),
        "stop": st.sampled_from(["a", ["a"], 'auser":"b']),
        "user": st.sampled_from(["a", "b"]),
        "metadata": st.sampled_from([{}, {"a": "b"}]),
        "stream": st.booleans(),
        "seed": st.sampled_from([1, True, "1", None]),
        "x_unknown": st.sampled_from([None, 1, {"a": 1}, {"a": 2}, [1, 2], [2, 1]]),
    },
)
calls = st.builds(
    lambda question, namespace, sub, org, origin, path, body: msgspec.structs.replace(
        call(
            question,
            namespace=namespace,
            headers={
                **({"askonce-namespace": sub} if sub else {}),
                **({"openai-organization": org} if org else {}),
            },
            **body,
        ),
        origin=origin,
        path=path,
    ),
    st.sampled_from(["hi", "hi ", "Hi"]),
    st.sampled_from(["a", "b", "a~b", None]),
    st.sampled_from(["", "b", "a"]),
    st.sampled_from(["", "org-1", "org-2"]),
    st.sampled_from(["https://one.example", "https://two.example"]),
    st.sampled_from(["/v1/chat/completions", "/v1/chat/completions?api-version=2"]),
    bodies,
)


@BOTH
@settings(max_examples=60)
@given(history=st.lists(calls, min_size=1, max_size=40))
def test_1_and_2_no_wrong_answer_and_none_across_a_namespace(
    name: str, history: list[Call]
) -> None:
    under_test = CacheUnderTest(name, "memory:", Clock())
    under_test.open(sampling="reuse")

    async def story() -> None:
        provider = Echo()
        # Every call twice, so that each is a candidate for a wrong hit.
        for asked in [*history, *reversed(history)]:
            _, body = await under_test.ask(asked, provider)
            assert text_of(body) == Echo.answer(asked)

    under_test.run(story)


@BOTH
@settings(max_examples=80)
@given(
    texts=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4),
    cut=st.floats(0, 1, exclude_max=True),
    size=st.integers(1, 64),
    error=st.booleans(),
)
def test_3_no_truncated_answer_is_ever_stored(
    name: str, texts: list[str], cut: float, size: int, error: bool
) -> None:
    under_test = CacheUnderTest(name, "memory:", Clock())
    sent = b"".join(streamed(*texts))
    # A stream that ends by itself is whole once it has said why the model stopped.
    done = sent.index(b"[DONE]") + len(b"[DONE]\n\n") if error else sent.rindex(b'"stop"')
    part = sent[: min(int(cut * len(sent)), done - 1)]
    whole_json = said("".join(texts))
    part_json = whole_json[: int(cut * len(whole_json))]

    class Cut(Exception):
        pass

    async def story() -> None:
        for body, headers, stream in (
            (part, SSE_HEADERS, True),
            (part_json, [("content-type", "application/json")], False),
        ):
            pieces: list[Any] = [body[i : i + size] for i in range(0, len(body), size)]
            if error:
                pieces.append(Cut())

            class Provider:
                async def ask(
                    self,
                    asked: Call,
                    b: bytes,
                    *,
                    raw: bool = False,
                    p: Any = pieces,
                    h: Any = headers,
                ) -> Script:
                    return Script(*p, headers=h)

            try:
                await under_test.ask(call(stream=stream), Provider())
            except Cut:
                assert error
            assert under_test.cache.stats().stored == 0
            assert len(under_test.cache.assembly.memory) == 0  # type: ignore[arg-type]
            assert len(under_test.parts.context.flights) == 0

    under_test.run(story)


class Unreliable(BaseStore):
    """A shared store that fails, forgets and damages at random, but never lies."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._store = MemoryStore(1 << 22, lock=_Free())
        self.faults = 0

    def _maybe(self) -> None:
        if self._random.random() < 0.4:
            self.faults += 1
            raise self._random.choice(
                [StoreError("full"), EntryDamaged("bits"), OSError(5, "io"), ValueError("odd")]
            )

    async def read(self, key: Key) -> Entry | None:
        self._maybe()
        return None if self._random.random() < 0.2 else await self._store.read(key)

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        self._maybe()
        return await self._store.write(entry)

    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        self._maybe()
        return await self._store.remove(selection)

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        self._maybe()
        return await self._store.epochs(tags, bump=bump)

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        async for entry in self._store.scan(selection):
            yield entry

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        self._maybe()
        return Lease(key, 0)


class _Free:
    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None: ...


@BOTH
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), history=st.lists(calls, min_size=4, max_size=30))
def test_4_a_faulty_store_fails_no_call_and_changes_no_answer(
    name: str, seed: int, history: list[Call]
) -> None:
    """The differential test: with the cache and without it, the same answers."""
    under_test = CacheUnderTest(name, "memory:", Clock())
    unreliable = Unreliable(seed)
    # A memory so small that the shared store is asked.
    under_test.open(sampling="reuse", memory=20_000, layers=[unreliable])

    async def story() -> None:
        provider = Echo()
        for asked in history * 2:
            _, body = await under_test.ask(asked, provider)
            assert text_of(body) == Echo.answer(asked)
        await under_test.settle()
        assert under_test.cache.stats().errors == unreliable.faults

    under_test.run(story)


Steps = st.lists(
    st.sampled_from(["ask"] * 3 + ["answer"] * 2 + ["invalidate"] * 2 + ["forget", "later"]),
    min_size=20,
    max_size=60,
)


@BOTH
@settings(max_examples=120)
@given(steps=Steps, seed=st.integers(0, 2**32), shared=st.booleans())
def test_5_nothing_invalidated_is_served_or_stored_after_it(
    name: str, steps: list[str], seed: int, shared: bool
) -> None:
    """Random histories of ask, answer, invalidate, with questions open across invalidations."""
    clock = Clock()
    under_test = CacheUnderTest(name, "memory:", clock)
    choose = random.Random(seed)
    if shared:
        under_test.open(layers=[MemoryStore(1 << 22, lock=_Free())])
    version = {"t0": 0, "t1": 0}  # what the documents say now

    class Provider:
        """Answers with the versions at the time it was asked."""

        async def ask(self, asked: Call, body: bytes, *, raw: bool = False) -> Script:
            tags = asked.headers["askonce-tags"].split(",")
            now = msgspec.json.encode({tag: version[tag] for tag in tags}).decode()
            return Script(*streamed(now), headers=SSE_HEADERS)

    def question() -> Call:
        tags = choose.choice(["t0", "t1", "t0,t1"])
        return call(f"about {tags}", stream=True, headers={"askonce-tags": tags})

    async def story() -> None:
        opened: list[tuple[Any, dict[str, int]]] = []
        for step in steps:
            if step == "ask":
                opened.append((await under_test.answer(question(), Provider()), dict(version)))
            elif step == "answer" and opened:
                reply, then = opened.pop(choose.randrange(len(opened)))
                epochs = msgspec.json.decode(text_of(await under_test.read(reply)))
                # The answer is at least as new as the world was when it was asked for.
                assert all(epochs[tag] >= then[tag] for tag in epochs)
            elif step == "invalidate":
                tag = choose.choice(["t0", "t1"])
                version[tag] += 1
                await under_test.parts.tiers.invalidate([tag])
            elif step == "forget":
                await under_test.cache.assembly.memory.remove(Selection(namespace="team-a"))
            else:
                clock.forward(10)
        for reply, _ in opened:
            await reply.close()

    under_test.run(story)
