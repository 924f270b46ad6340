"""An embeddings endpoint on a real server, healthy and faulty, for sync and async callers."""

import asyncio
import base64
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from askonce.cli.demo.provider.serving import running
from askonce.core.errors import EmbedderError
from askonce.core.protocols import Embedder
from askonce.semantic.embedders.local import LocalEmbedder
from askonce.semantic.embedders.open_embedder import open_embedder
from askonce.stores.context import StoreContext
from tests.fixtures.stores import Run, run_blocking

KEY = "sk-embeddings"
DEADLINE = 5.0


class Server:
    """`/v1/embeddings`, made of the local model; a model's name asks for something else."""

    def __init__(self) -> None:
        self.local = LocalEmbedder(lock=threading.Lock())
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while (event := await receive()).get("more_body") or event.get("body"):
            body += event["body"]
            if not event.get("more_body"):
                break
        asked = json.loads(body)
        self.asked.append(asked)
        headers = dict(scope["headers"])
        if headers.get(b"authorization") != f"Bearer {KEY}".encode():
            await self.say(send, 401, {"error": {"message": asked["input"][0]}})
        elif scope["path"] != "/v1/embeddings":
            await self.say(send, 404, {})
        else:
            await self.answer(asked, receive, send)

    async def answer(self, asked: dict[str, Any], receive: Any, send: Any) -> None:
        model = asked["model"]
        if model == "stalling":
            await receive()  # until the caller goes away
        elif model == "trickling":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(600):
                await send({"type": "http.response.body", "body": b" ", "more_body": True})
                await asyncio.sleep(0.02)
        elif model == "moved":
            await self.say(send, 307, {}, [(b"location", b"/v1/elsewhere")])
        elif model == "endless":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(64):
                await send({"type": "http.response.body", "body": b" " * 65536, "more_body": True})
        elif model.isdecimal():
            await self.say(send, int(model), {"error": "no"})
        else:
            await self.say(send, 200, self.embeddings(asked))

    def embeddings(self, asked: dict[str, Any]) -> Any:
        model, texts = asked["model"], asked["input"]
        odd: dict[str, Any] = {
            "garbage": [],
            "nothing": {"data": []},
            "nan": {"data": [{"index": 0, "embedding": "AADAfw=="}]},
            "zero": {"data": [{"index": 0, "embedding": [0.0, 0.0]}]},
            "none": {"data": [{"index": 0, "embedding": []}]},
            "half": {"data": [{"index": 0, "embedding": "AADA"}]},
            "twice": {"data": [{"index": 0, "embedding": [1.0]}] * 2 * len(texts)},
        }
        if model in odd:
            return odd[model]
        found = run_blocking(self.local.embed(texts))
        rows = [[3 * number for number in struct.unpack("<384f", one or b"")] for one in found]
        if model == "shrinking":
            rows = [row[: 384 - len(self.asked)] for row in rows]
        rows = [row[: asked.get("dimensions", 384)] for row in rows]
        data: list[dict[str, Any]] = [
            {"object": "embedding", "index": place, "embedding": row}
            for place, row in enumerate(rows)
        ]
        if asked["encoding_format"] == "base64":
            for one in data:
                packed = struct.pack(f"<{len(one['embedding'])}f", *one["embedding"])
                one["embedding"] = base64.b64encode(packed).decode()
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return {"object": "list", "data": data[::-1], "model": model, "usage": usage}

    async def say(
        self, send: Any, status: int, body: Any, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers or []})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def _floats(vector: bytes | None) -> tuple[float, ...]:
    assert vector is not None
    return struct.unpack("<384f", vector)


@pytest.fixture(scope="module")
def serving() -> Iterator[tuple[Server, str]]:
    server = Server()
    with running(server) as url:
        yield server, url


@pytest.fixture
def server(serving: tuple[Server, str]) -> Server:
    serving[0].asked.clear()
    return serving[0]


Open = Callable[..., Embedder]


@pytest.fixture
def open_endpoint(serving: tuple[Server, str], run: Run, mode: str) -> Iterator[Open]:
    """Opens the server's endpoint for a model, with further options."""
    made: list[Embedder] = []

    def make(
        model: str, *, key: str = KEY, deadline: float = DEADLINE, url: str = "", **options: Any
    ) -> Embedder:
        suspending = mode == "suspending"
        place = asyncio.get_running_loop if suspending else lambda: 1
        ground = StoreContext(
            threading.Lock, time.time, place, suspending, deadline, time.perf_counter
        )
        address = f"{url or serving[1]}/v1?{urlencode({'model': model, **options})}"
        made.append(open_embedder(address, ground, key=key))
        return made[-1]

    yield make
    for embedder in made:
        run(embedder.close())


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_come_in_order_and_of_unit_length(
    open_endpoint: Open, server: Server, run: Run, encoding: str
) -> None:
    embedder = open_endpoint("mini", encoding=encoding)
    assert embedder.dimensions == 0

    found = run(embedder.embed(["one", "", "two words", "  ", "\ud800", "x" * 9_000]))

    wanted = run_blocking(server.local.embed(["one", "two words"]))
    assert [one is None for one in found] == [False, True, False, True, True, True]
    for one, other in zip([found[0], found[2]], wanted, strict=True):
        assert _floats(one) == pytest.approx(_floats(other), abs=1e-6)
    assert embedder.dimensions == 384
    assert server.asked == [
        {"model": "mini", "encoding_format": encoding, "input": ["one", "two words"]}
    ]


def test_nothing_to_send_makes_no_request(open_endpoint: Open, server: Server, run: Run) -> None:
    embedder = open_endpoint("mini", longest=3)

    assert run(embedder.embed([])) == []
    assert run(embedder.embed(["", "four"])) == [None, None]
    assert server.asked == []


def test_very_many_texts_go_in_parts(open_endpoint: Open, server: Server, run: Run) -> None:
    texts = [f"text {number}" for number in range(300)]

    found = run(open_endpoint("mini").embed(texts))

    assert len(set(found)) == 300
    assert [len(asked["input"]) for asked in server.asked] == [128, 128, 44]


def test_fewer_dimensions_may_be_asked_for(open_endpoint: Open, server: Server, run: Run) -> None:
    embedder = open_endpoint("mini", dimensions=64)

    (found,) = run(embedder.embed(["one"]))

    assert len(found) == 4 * 64
    assert embedder.dimensions == 64
    assert embedder.name.endswith("/v1 mini 64")
    assert server.asked[0]["dimensions"] == 64


def test_other_models_have_other_names(open_endpoint: Open) -> None:
    names = [
        open_endpoint("a").name,
        open_endpoint("b").name,
        open_endpoint("a", dimensions=8).name,
    ]

    assert len(set(names)) == 3
    assert KEY not in str(names)


def test_another_number_of_dimensions_is_an_error(
    open_endpoint: Open, server: Server, run: Run
) -> None:
    embedder = open_endpoint("shrinking")
    run(embedder.embed(["one"]))

    with pytest.raises(EmbedderError, match="gave 382 numbers instead of 383"):
        run(embedder.embed(["one"]))
    assert embedder.dimensions == 383
    with pytest.raises(EmbedderError, match="gave 381 numbers instead of 382"):
        run(open_endpoint("shrinking", dimensions=382).embed(["one"]))


@pytest.mark.parametrize("key", ["", "sk-another"])
def test_a_wrong_key_is_named_and_nothing_is_repeated(
    open_endpoint: Open, run: Run, server: Server, key: str
) -> None:
    with pytest.raises(EmbedderError, match=r"refuses the key \(401\)$") as error:
        run(open_endpoint("mini", key=key).embed(["a secret question"]))
    assert "secret" not in str(error.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("500", "answered 500"),
        ("429", "answered 429"),
        ("moved", "answered 307"),
        ("garbage", "has no embeddings"),
        ("nothing", "did not answer for each text"),
        ("twice", "did not answer for each text"),
        ("nan", "without a direction"),
        ("zero", "without a direction"),
        ("none", "without a direction"),
        ("half", "not float32"),
        ("endless", "far too long"),
    ],
)
def test_an_ill_endpoint_is_one_error_and_asked_once(
    open_endpoint: Open, server: Server, run: Run, model: str, message: str
) -> None:
    with pytest.raises(EmbedderError, match=message):
        run(open_endpoint(model).embed(["one", "two"] if model == "twice" else ["one"]))
    assert len(server.asked) == 1


@pytest.mark.parametrize("model", ["stalling", "trickling"])
def test_a_slow_endpoint_is_left_within_the_deadline(
    open_endpoint: Open, run: Run, model: str
) -> None:
    embedder = open_endpoint(model, deadline=0.2)
    started = time.perf_counter()

    with pytest.raises(EmbedderError, match="took too long"):
        run(embedder.embed(["one"]))

    assert time.perf_counter() - started < 1.5


def test_a_dead_endpoint_is_an_error(open_endpoint: Open, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(EmbedderError, match="does not answer: ConnectError"):
        run(open_endpoint("mini", url=f"http://127.0.0.1:{port}").embed(["one"]))


def test_an_ill_answer_spoils_no_later_one(open_endpoint: Open, server: Server, run: Run) -> None:
    embedder = open_endpoint("mini", longest=10)
    with pytest.raises(EmbedderError):
        run(open_endpoint("endless").embed(["one"]))

    first = run(embedder.embed(["one"]))

    assert run(embedder.embed(["one"])) == first


def test_several_at_once_share_the_connections(open_endpoint: Open, run: Run, mode: str) -> None:
    embedder = open_endpoint("mini")
    texts = [f"text {number}" for number in range(20)]

    if mode == "suspending":

        async def story() -> list[Any]:
            return await asyncio.gather(*[embedder.embed([text]) for text in texts])

        found = run(story())
    else:
        found = []
        threads = [
            threading.Thread(target=lambda text=text: found.append(run(embedder.embed([text]))))
            for text in texts
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len({one[0] for one in found}) == 20


def test_every_event_loop_has_connections_of_its_own(serving: tuple[Server, str]) -> None:
    ground = StoreContext(
        threading.Lock, time.time, asyncio.get_running_loop, True, DEADLINE, time.perf_counter
    )
    embedder = open_embedder(f"{serving[1]}/v1?model=mini", ground, key=KEY)

    async def story() -> list[bytes | None]:
        try:
            return await embedder.embed(["one"])
        finally:
            await embedder.close()

    assert asyncio.run(story()) == asyncio.run(story())
