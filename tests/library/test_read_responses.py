"""A response that `inner` has read already passes as any other: mocks, recorders, other caches."""

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from askonce import CachingTransport
from tests.library.sdks import Door, entered, ready

URL = "https://llm.example.com/v1/chat/completions"
MESSAGE = {"role": "assistant", "content": "Yes."}
ANSWER = json.dumps(
    {"id": "c", "object": "chat.completion", "created": 1, "model": "m",
     "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}
).encode()  # fmt: skip
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
KEY = {"authorization": "Bearer k"}
BYPASSED = {"cache-control": "no-store"}


def as_mock(lib: Any) -> Any:
    return lib.Response(200, json=json.loads(ANSWER))


def as_recorder(lib: Any) -> Any:
    """A compressed answer that was read, as a recorder of HTTP traffic leaves it."""
    response = lib.Response(
        200,
        headers={"content-type": "application/json", "content-encoding": "gzip"},
        stream=lib.ByteStream(gzip.compress(ANSWER)),
    )
    response.read()
    return response


def in_pieces(lib: Any) -> Any:
    class Pieces(lib.SyncByteStream, lib.AsyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            yield from (ANSWER[:9], ANSWER[9:])

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in (ANSWER[:9], ANSWER[9:]):
                yield piece

    return lib.Response(200, headers={"content-type": "application/json"}, stream=Pieces())


@pytest.mark.parametrize("headers", [{}, BYPASSED], ids=["cached", "bypassed"])
@pytest.mark.parametrize("make", [as_mock, as_recorder, in_pieces])
async def test_a_read_response_passes_as_any_other(
    door: Door, make: Any, headers: dict[str, str]
) -> None:
    lib, asked = door.lib, list[Any]()

    def handle(request: Any) -> Any:
        asked.append(request)
        return make(lib)

    async with door.cache() as cache:
        transport = CachingTransport(cache, lib.MockTransport(handle))
        client = (lib.Client if door.blocking else lib.AsyncClient)(transport=transport)
        async with entered(client) as caller:
            for _ in range(2):
                answer = await ready(caller.post(URL, json=ASKED, headers=KEY | headers))
                assert answer.json() == json.loads(ANSWER)
                assert "content-encoding" not in answer.headers
    assert len(asked) == (2 if headers else 1)
