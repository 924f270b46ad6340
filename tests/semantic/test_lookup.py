"""Step 8: the answer to the same question in other words, in one scope and never beyond it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from askonce.core.models import Outcome, Selection
from askonce.core.rules.rules import Rules
from askonce.core.runtime.threads import run_sync
from askonce.core.scopes import compared_by
from askonce.pipeline.texts import TextQuestion
from askonce.semantic.embedders.local import LocalEmbedder
from askonce.semantic.lookup import RateLimit
from askonce.semantic.settings import Semantic
from tests.fixtures.engines import Engines
from tests.fixtures.scripted import (
    SSE_HEADERS,
    CacheUnderTest,
    Clock,
    Script,
    Scripted,
    call,
    said,
    semantic_of,
    streamed,
)

ASKED = "What is your return policy?"
AGAIN = "What's your return policy?"
OTHER = "Which colors does the lamp come in?"
USER = {"role": "user", "content": AGAIN}
NOT = "What isn't covered by your return policy?"


@pytest.fixture(scope="module", autouse=True)
def model() -> Iterator[None]:
    """Load the model once for all tests of this file."""
    embedder = LocalEmbedder(lock=threading.Lock())
    embedder.load()
    yield
    run_sync(embedder.close())


@pytest.fixture(params=["memory", "sqlite"])
def near(mode: str, request: pytest.FixtureRequest, engines: Engines, clock: Clock) -> Any:
    url = "memory:" if request.param == "memory" else engines.plain(request.param)

    def make(semantic: Any = "serve", **settings: Any) -> CacheUnderTest:
        if isinstance(semantic, str):
            semantic = Semantic(mode=semantic)  # type: ignore[arg-type]
        # Patient, because the machine may be busy with other tests.
        semantic = msgspec.structs.replace(semantic, deadline="10s")
        under_test = CacheUnderTest(mode, url, clock)
        under_test.open(semantic=semantic, **settings)
        return under_test

    return make


def provider(*texts: str) -> Scripted:
    """Answer with the texts one after another, and then with the last one for ever."""
    said_ = [lambda text=text: Script(said(text)) for text in texts or ("Thirty days.",)]
    return Scripted(*said_)


async def ask(under_test: CacheUnderTest, upstream: Scripted, question: str, **more: Any) -> str:
    status, _ = await under_test.ask(call(question, **more), upstream)
    await under_test.settle()
    return status


def what(under_test: CacheUnderTest) -> dict[str, int]:
    return dict(under_test.cache.stats().semantic)


def test_the_same_question_in_other_words_is_served_with_its_similarity(near: Any) -> None:
    under_test, upstream = near(), provider("Thirty days.", "Something else.")

    async def steps() -> None:
        assert "fwd=miss; stored" in await ask(under_test, upstream, ASKED)
        reply = await under_test.answer(call(AGAIN), upstream)
        body = await under_test.read(reply)
        assert b"Thirty days." in body
        status = dict(reply.headers)["cache-status"]
        assert status.startswith("askonce; hit; ttl=86400; detail=semantic; similarity=0.99"), (
            status
        )
        assert upstream.calls == 1
        stats = under_test.cache.stats()
        assert (stats.hits, stats.outcomes["semantic"], stats.saved_tokens) == (1, 1, 16)
        # An approximation never becomes exact: nothing is stored under the asker's own key.
        await under_test.settle()
        entries = [one async for one in under_test.cache.assembly.memory.scan(Selection())]
        assert [one.question for one in entries] == [ASKED]
        assert "detail=semantic" in await ask(under_test, upstream, AGAIN)

    under_test.run(steps)


def test_a_stream_is_served_too(near: Any) -> None:
    under_test = near()
    upstream = Scripted(lambda: Script(*streamed("Thirty ", "days."), headers=SSE_HEADERS))

    async def steps() -> None:
        await ask(under_test, upstream, ASKED, stream=True)
        reply = await under_test.answer(call(AGAIN, stream=True), upstream)
        body = await under_test.read(reply)
        assert body.startswith(b"data: ")
        assert body.endswith(b"data: [DONE]\n\n")
        assert b"Thirty days." in body
        assert reply.outcome is Outcome.HIT_SEMANTIC
        assert b"Thirty days." in await under_test.read(
            await under_test.answer(call(AGAIN), upstream)
        )
        assert upstream.calls == 1

    under_test.run(steps)


@pytest.mark.parametrize(
    "more",
    [
        {"namespace": "team-b"},
        {"model": "gpt-5"},
        {"temperature": 0},
        {"max_tokens": 5},
        {"response_format": {"type": "json_object"}},
        {"headers": {"askonce-namespace": "inner"}},
        {"messages": [{"role": "system", "content": "Be brief."}, USER]},
        {
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hello!"},
                USER,
            ]
        },
        {"messages": [{"role": "user", "name": "ann", "content": AGAIN}]},
        {"tools": [{"type": "function", "function": {"name": "refund", "parameters": {}}}]},
        {"some_future_field": 1},
    ],
)  # fmt: skip
def test_nothing_crosses_a_scope(near: Any, more: dict[str, Any]) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED)
        assert "fwd=miss" in await ask(under_test, upstream, AGAIN, **more)
        # And the other way round: the new entry there is not found here.
        assert "detail=semantic" in await ask(under_test, upstream, AGAIN)
        assert upstream.calls == 2

    under_test.run(steps)


def test_a_guard_speaks_against_it_and_the_next_one_may_answer(near: Any) -> None:
    under_test = near(Semantic(threshold=0.6))
    upstream = provider("Thirty days.", "Opened ones.", "New.")

    async def steps() -> None:
        await ask(under_test, upstream, "Which items are covered by your return policy?")
        assert "fwd=miss" in await ask(
            under_test, upstream, "Which items aren't covered by your return policy?"
        )
        assert what(under_test)["negation"] == 1
        reply = await under_test.answer(
            call("Which items are not covered by your return policy?"), upstream
        )
        assert b"Opened ones." in await under_test.read(reply)
        assert upstream.calls == 2

    under_test.run(steps)


def test_a_question_with_no_near_entry_goes_to_the_provider(near: Any) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED)
        assert "fwd=miss" in await ask(under_test, upstream, OTHER)
        assert what(under_test)["far"] >= 1

    under_test.run(steps)


@pytest.mark.parametrize(
    ("headers", "hit"),
    [
        ({"askonce-semantic": "off"}, False),
        ({"askonce-semantic": "shadow"}, False),
        ({"askonce-semantic": "serve"}, True),
        ({"askonce-semantic": "Serve "}, True),
        ({"askonce-semantic": "perhaps"}, False),
        ({"askonce-similarity": "0.95"}, True),
        ({"askonce-similarity": "0.1"}, True),
        ({"askonce-similarity": "0.9999"}, False),
        ({"askonce-similarity": "1e-3"}, False),
        ({"cache-control": "no-cache"}, False),
        ({"cache-control": "max-age=60"}, True),
        ({"askonce-tags": "returns"}, False),
    ],
)
def test_a_caller_can_opt_out_and_can_only_be_stricter(
    near: Any, headers: dict[str, str], hit: bool
) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED)
        reply = await under_test.answer(call(AGAIN, headers=headers), upstream)
        await under_test.read(reply)
        found = dict(reply.headers)
        assert ("detail=semantic" in found["cache-status"]) is hit, found
        odd = [n for n, v in headers.items() if v in ("perhaps", "1e-3")]
        assert found.get("askonce-ignored") == (odd[0] if odd else None)

    under_test.run(steps)


def test_a_caller_may_ask_to_be_served_where_the_rest_is_only_measured(near: Any) -> None:
    under_test, upstream = near("shadow"), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED)
        serve = {"headers": {"askonce-semantic": "serve"}}
        assert "detail=semantic" in await ask(under_test, upstream, AGAIN, **serve)
        assert "fwd=miss" in await ask(under_test, upstream, AGAIN)

    under_test.run(steps)


def test_an_answer_of_a_caller_who_opted_out_is_not_found_by_others(near: Any) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED, headers={"askonce-semantic": "off"})
        assert "fwd=miss" in await ask(under_test, upstream, AGAIN)

    under_test.run(steps)


def test_shadow_serves_nothing_and_counts_agreement(near: Any) -> None:
    under_test = near("shadow")
    upstream = provider("Thirty days.", "Thirty  days.", "Sixty days.")

    async def steps() -> None:
        assert "fwd=miss" in await ask(under_test, upstream, ASKED)
        assert "fwd=miss" in await ask(under_test, upstream, AGAIN)
        assert what(under_test)["shadow:agrees"] == 1
        assert "fwd=miss" in await ask(under_test, upstream, "What is your return policy, please?")
        assert what(under_test)["shadow:disagrees"] == 1
        assert "fwd=miss" in await ask(under_test, upstream, OTHER)
        counts = what(under_test)
        assert counts["shadow:none"] >= 2
        assert sum(n for word, n in counts.items() if word.startswith("shadow:0.9")) == 2
        assert under_test.cache.stats().hits == 0
        assert upstream.calls == 4

    under_test.run(steps)


def test_an_invalidated_swept_or_expired_entry_is_not_served(near: Any, clock: Clock) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        tagged = {"headers": {"askonce-tags": "returns"}}
        await ask(under_test, upstream, ASKED, **tagged)
        assert "detail=semantic" in await ask(under_test, upstream, AGAIN, **tagged)
        await under_test.parts.tiers.invalidate(["returns"])
        assert "fwd=miss" in await ask(under_test, upstream, AGAIN, **tagged)
        await under_test.parts.tiers.invalidate(["returns"])

        await ask(under_test, upstream, ASKED)
        assert "detail=semantic" in await ask(
            under_test, upstream, "What is your return policy, please?"
        )
        clock.forward(86_401)
        assert "fwd=miss" in await ask(under_test, upstream, "What is your return policy, please?")

    under_test.run(steps)


def test_a_key_that_no_layer_has_leaves_the_index(near: Any) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED)
        assembly = under_test.cache.assembly
        index = assembly.semantic.index(384, suspends=False).vectors
        assert await index.size() == 1
        for store in (
            assembly.memory,
            *([assembly.stack.shared_store] if assembly.stack.shared_store else []),
        ):
            await store.remove(Selection(namespace="team-a"))
        assert "fwd=miss" in await ask(under_test, upstream, OTHER, temperature=0)
        before = await index.size()
        assert "fwd=miss" in await ask(under_test, upstream, AGAIN)
        await under_test.settle()
        assert what(under_test)["gone"] == 1
        assert await index.size() == before

    under_test.run(steps)


def test_an_entry_in_memory_only_leaves_the_index_when_it_is_swept(near: Any) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED)
        await ask(under_test, upstream, OTHER)
        index = under_test.cache.assembly.semantic.index(384, suspends=False).vectors
        assert await index.size() == 2
        swept = under_test.cache.invalidate(match="return policy")
        swept = await swept if under_test.name == "suspending" else swept
        assert swept.entries == 1
        assert await index.size() == 1

    under_test.run(steps)


def test_shadow_indexes_all_and_compares_only_what_serve_would_look_up(near: Any) -> None:
    under_test, upstream = near("shadow"), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED)
        refused = {"headers": {"cache-control": "no-cache"}}
        await ask(under_test, upstream, AGAIN, **refused)
        assert "shadow:agrees" not in what(under_test)
        neighbors = under_test.parts.pipeline._lookup
        neighbors._shadow_rate = RateLimit(0.0, 0.0)  # too many for now
        await ask(under_test, upstream, OTHER)
        assert what(under_test)["skipped"] == 1
        index = under_test.cache.assembly.semantic.index(384, suspends=False).vectors
        assert await index.size() == 3

    under_test.run(steps)


def test_a_very_long_question_is_not_compared(near: Any) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        await ask(under_test, upstream, "long " * 5_000)
        assert what(under_test) == {"too-long": 1}

    under_test.run(steps)


def test_an_entry_of_another_scope_in_the_index_is_not_served(near: Any) -> None:
    """A writer of a shared index can name any entry; the scope in the entry itself decides."""
    under_test, upstream = near(), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED, temperature=0)
        await ask(under_test, upstream, OTHER)
        assembly = under_test.cache.assembly
        entries = [one async for one in assembly.memory.scan(Selection())]
        there, here = sorted(entries, key=lambda one: one.question == OTHER)
        pair = assembly.semantic
        index = pair.index(384, suspends=False).vectors
        vector = await pair.embedding.vector(ASKED, under_test.parts.context.runtime)
        scope = compared_by(here.scope, pair.embedding.name)
        await index.add(scope, there.key, vector, 1e11)
        near_ = await index.nearest(scope, vector, 1)
        assert near_[0].key == there.key
        assert "fwd=miss" in await ask(under_test, upstream, AGAIN)

    under_test.run(steps)


def test_rules_of_today_apply_to_the_stored_question_too(near: Any, clock: Clock) -> None:
    before, upstream = near(), provider()

    async def earlier() -> None:
        await ask(before, upstream, "What is your return policy?")
        await ask(before, upstream, "What is the price of delivery?")

    before.run(earlier)
    rules = Rules().never(r"is your return").after(r"is the price", "5m")
    later = near(rules=rules)

    async def now() -> None:
        if not later.cache.assembly.stack.states():
            return  # memory alone does not outlive its cache
        later.cache.assembly.semantic.reconciler.start()
        await later.until(lambda: later.cache.assembly.semantic.reconciler.ready)
        assert "detail=semantic" not in await ask(later, upstream, AGAIN)
        price = "What's the price of delivery?"
        assert "detail=semantic" in await ask(later, upstream, price)
        clock.forward(301)
        assert "detail=semantic" not in await ask(later, upstream, "What’s the price of delivery")

    later.run(now)


def test_a_refusal_of_the_provider_is_never_served_to_another_question(near: Any) -> None:
    under_test = near(negative_ttl="1h")
    error = b'{"error": {"message": "no such model", "type": "invalid_request_error"}}'
    upstream = Scripted(lambda: Script(error, status=404))

    async def steps() -> None:
        assert "stored" in await ask(under_test, upstream, ASKED)
        assert "hit" in await ask(under_test, upstream, ASKED)
        assert "fwd=miss" in await ask(under_test, upstream, AGAIN)

    under_test.run(steps)


def test_only_if_cached_accepts_a_semantic_hit(near: Any) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED)
        only: dict[str, Any] = {"headers": {"cache-control": "only-if-cached"}}
        assert "detail=semantic" in await ask(under_test, upstream, AGAIN, **only)
        reply = await under_test.answer(call(OTHER, **only), upstream)
        assert reply.status == 504
        await under_test.read(reply)
        assert upstream.calls == 1

    under_test.run(steps)


def test_many_simultaneous_callers_cost_one_search(near: Any) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED)

        async def one() -> Any:
            status, body = await under_test.ask(call(AGAIN), upstream)
            assert b"Thirty days." in body
            return status

        found = await under_test.together(*[one] * 20)
        assert all("similarity=0.99" in status for status in found), found
        assert {"semantic", "joined"} >= {
            status.partition("detail=")[2].partition(";")[0] for status in found
        }
        assert upstream.calls == 1

    under_test.run(steps)


@pytest.mark.parametrize(
    "question",
    [
        "",
        "   ",
        "word " * 100_000,
        "\N{PILE OF POO}" * 50,
        "ไปสถานีอย่างไร",
        "\ud800 half a character",
        "a\u200bb" * 3_000,
        "1" * 20_000,
        "((((" * 5_000,
    ],
)
def test_strange_questions_cost_little_and_match_nothing(near: Any, question: str) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED)
        try:
            asked = call(question)
        except UnicodeEncodeError:
            asked = call("x")
            asked = type(asked)(
                asked.method, asked.origin, asked.path, asked.headers,
                asked.body.replace(b'"x"', b'"\\ud800 half a character"'), asked.namespace,
            )  # fmt: skip
        for _ in range(2):
            status, _body = await under_test.ask(asked, upstream)
            assert "detail=semantic" not in status
            await under_test.settle()
        assert under_test.cache.stats().errors == 0

    under_test.run(steps)


def test_history_parameters_and_models_may_be_free(near: Any) -> None:
    scoping = Semantic(history="last_turn", parameters="free", models=(("gpt-4o*",),), tools=True)
    under_test, upstream = near(scoping), provider()

    async def steps() -> None:
        await ask(under_test, upstream, ASKED, messages=[
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": ASKED},
        ])  # fmt: skip
        more = {"temperature": 0, "max_tokens": 9, "model": "gpt-4o"}
        assert "detail=semantic" in await ask(under_test, upstream, AGAIN, **more)
        assert "fwd=miss" in await ask(under_test, upstream, AGAIN, model="gpt-5")

    under_test.run(steps)


def test_a_request_for_an_action_is_matched_exactly_only(near: Any) -> None:
    under_test, upstream = near(), provider()

    async def steps() -> None:
        for question in ("Please delete my account", "Please delete my account!"):
            assert "fwd=miss" in await ask(under_test, upstream, question)
        assert what(under_test)["side-effect"] == 2
        assert "detail=memory" in await ask(under_test, upstream, "Please delete my account")
        await ask(under_test, upstream, "How do I delete my account?")
        assert "detail=semantic" in await ask(under_test, upstream, "How can I delete my account?")

    under_test.run(steps)


@pytest.mark.parametrize("apart", [True, False])
def test_questions_in_many_languages_are_kept_apart_by_a_guard(near: Any, apart: bool) -> None:
    """A number keeps them apart at any threshold, and no language is near another."""
    under_test = near(Semantic(threshold=0.5) if apart else Semantic())
    upstream = provider()

    async def steps() -> None:
        for language, question in enumerate(LANGUAGES):
            more = {"namespace": f"language-{language}"} if apart else {}
            await ask(under_test, upstream, question.replace("#", "5"), **more)
            assert "fwd=miss" in await ask(under_test, upstream, question.replace("#", "7"), **more)
        assert under_test.cache.stats().errors == 0

    under_test.run(steps)


LANGUAGES = [
    "Where is bus # going?",
    "Wohin fährt der Bus #?",
    "Où va le bus # ?",
    "¿Adónde va el autobús #?",
    "Dove va l'autobus #?",
    "Para onde vai o autocarro #?",
    "Waar gaat bus # heen?",
    "Dokąd jedzie autobus #?",
    "Kam jede autobus #?",
    "Hová megy a #-as busz?",
    "Otobüs # nereye gidiyor?",
    "Vart går buss #?",
    "Minne bussi # menee?",
    "Куда идёт автобус #?",
    "Πού πηγαίνει το λεωφορείο #;",
    "לאן נוסע אוטובוס #?",
    "أين تذهب الحافلة #؟",
    "बस # कहाँ जा रही है?",
    "#号公交车去哪里？",
    "#番のバスはどこへ行きますか？",
    "#번 버스는 어디로 가나요?",
    "Xe buýt số # đi đâu?",
]


def test_texts_are_matched_with_their_reason_and_similarity(near: Any) -> None:
    under_test = near()

    async def steps() -> None:
        texts = under_test.parts.texts

        async def get(text: str, scope: str = "shop", namespace: str = "local", **how: Any) -> Any:
            question = TextQuestion(text, scope, namespace)
            return await texts.get(question, **{"max_age": None, "tags": (), **how})

        asked = TextQuestion(ASKED, "shop", "local")
        assert await texts.put(asked, "Thirty days.", ttl=None, tags=())
        found = await get(AGAIN)
        assert (found.text, found.reason, found.matched) == ("Thirty days.", "semantic", ASKED)
        assert 0.98 < found.similarity <= 1
        exact = await get(ASKED)
        assert (exact.reason, exact.similarity, exact.matched) == ("exact", 1.0, "")
        for other in (
            {"semantic": "off"},
            {"similarity": 0.999},
            {"scope": "another"},
            {"namespace": "another"},
            {"tags": ["x"]},
        ):
            assert await get(AGAIN, **other) is None, other
        assert await get(NOT) is None

    under_test.run(steps)


# The index in this process is saved, and rebuilt if its file is not usable.


def vectors_of(url: str) -> Path:
    return Path(f"{url.removeprefix('sqlite:')}-vectors")


@pytest.mark.parametrize("harm", ["none", "gone", "damaged", "another"])
def test_the_index_is_saved_or_rebuilt_from_the_entries(
    mode: str, engines: Engines, clock: Clock, harm: str
) -> None:
    url, upstream = engines.plain("sqlite"), provider()

    def opened() -> CacheUnderTest:
        under_test = CacheUnderTest(mode, url, clock)
        under_test.open(semantic="serve")
        return under_test

    first = opened()

    async def before() -> None:
        await ask(first, upstream, ASKED)

    first.run(before)
    file = vectors_of(url)
    assert file.is_file()
    if harm == "gone":
        file.unlink()
    elif harm == "damaged":
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif harm == "another":
        file.write_bytes(file.read_bytes().replace(b"all-MiniLM", b"all-Others"))
    second = opened()

    async def after() -> None:
        semantic_of(second).reconciler.start()
        await second.until(lambda: semantic_of(second).reconciler.ready)
        assert "detail=semantic" in await ask(second, upstream, AGAIN)
        assert what(second).get("reindexed", 0) == (0 if harm == "none" else 1)

    second.run(after)


def test_an_entry_swept_by_another_process_leaves_this_index_too(
    mode: str, engines: Engines, clock: Clock
) -> None:
    url, upstream = engines.plain("sqlite"), provider()
    first = CacheUnderTest(mode, url, clock)
    first.open(semantic="serve")

    async def before() -> None:
        await ask(first, upstream, ASKED)
        await ask(first, upstream, OTHER)

    first.run(before)
    plain = CacheUnderTest(mode, url, clock)  # a command line, that matches nothing

    async def between() -> None:
        cache: Any = plain.cache
        swept = cache.invalidate(match="return policy")
        if mode == "suspending":
            swept = await swept
        assert swept.entries == 1

    plain.run(between)
    second = CacheUnderTest(mode, url, clock)
    second.open(semantic="serve")

    async def after() -> None:
        reconciler = semantic_of(second).reconciler
        reconciler.start()
        await second.until(lambda: reconciler.ready)
        assert what(second)["unindexed"] == 1
        index = semantic_of(second).index(384, suspends=False).vectors
        assert await index.size() == 1

    second.run(after)
