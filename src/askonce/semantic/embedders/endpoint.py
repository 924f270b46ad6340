"""An embeddings endpoint with the interface of OpenAI's `/v1/embeddings`, anywhere on the network.

A call is one request, or several for very many texts. Nothing is retried: the caller goes on
without a vector, and the circuit breaker decides when the endpoint is asked again.
"""

import base64
import binascii
import math
import struct
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterator,
    MutableMapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import msgspec

from askonce.core.errors import ConfigError, EmbedderError, missing_library
from askonce.stores.context import StoreContext

LONGEST = 8_000
"""Characters of a text; a longer one is not sent, because many servers truncate it silently."""

_BATCH_TEXTS = 128
_MOST_TOKENS = 1 << 40
_MOST_BYTES = 512 * 1024
"""The size of an answer for each text: enough for 16,384 numbers in decimal."""


class _Vector(msgspec.Struct):
    index: int
    embedding: list[float] | str


class _Answer(msgspec.Struct):
    data: list[_Vector]
    usage: Any = None

    @property
    def tokens(self) -> int:
        """The tokens to pay for; 0 if the server does not say."""
        usage = self.usage if isinstance(self.usage, dict) else {}
        found = usage.get("prompt_tokens", usage.get("total_tokens"))
        return found if type(found) is int and 0 < found < _MOST_TOKENS else 0


_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


class EndpointEmbedder:
    """Vectors from a server, scaled to unit length.

    The first answer fixes the numbers of a vector, unless `dimensions` does; another number is an
    `EmbedderError` from then on. Texts that are blank, too long, or not valid Unicode have no
    vector.

    Parameters:
        base_url: the address before `/embeddings`, such as https://HOST/v1.
        model: the name of the model.
        key: the API key. Default: none is sent.
        context: locks, clocks and the deadline of one call.
        dimensions: the numbers of a vector to ask for. Default: the server decides.
        longest: characters of the longest text that is sent.
        encoding: `float` or `base64`, the form of the vectors on the wire.

    Raises `ConfigError`.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key: str | None = None,
        *,
        context: StoreContext,
        dimensions: int | None = None,
        longest: int = LONGEST,
        encoding: str = "float",
    ) -> None:
        try:
            import httpx2
        except ImportError:
            raise missing_library("an embeddings endpoint", "httpx2", "semantic") from None
        self._library: Any = httpx2
        self._url = _endpoint(base_url)
        if key and not (key.isascii() and key.isprintable()):
            raise ConfigError("an embeddings endpoint's key has characters that no header has")
        if encoding not in ("float", "base64"):
            raise ConfigError(f"an embeddings endpoint encodes as float or base64, not {encoding}")
        if min(longest, 1 if dimensions is None else dimensions) < 1:
            raise ConfigError("an embeddings endpoint's dimensions and longest are at least 1")
        self.model, self.origin = model, base_url.rstrip("/")
        self._used = (0, 0)
        self.name = f"{base_url.rstrip('/')} {model}"
        if dimensions is not None:
            self.name += f" {dimensions}"
        self.dimensions = dimensions or 0
        self._request: dict[str, Any] = {"model": model, "encoding_format": encoding}
        if dimensions is not None:
            self._request["dimensions"] = dimensions
        self._longest = longest
        self._key = key
        self._context = context
        self._lock = context.lock()
        # A client belongs to one event loop, and to one process.
        self._clients: MutableMapping[Any, Any] = WeakKeyDictionary() if context.suspending else {}

    async def embed(self, texts: Sequence[str]) -> list[bytes | None]:
        """Return a vector for each text; None for one that is not sent. Raises `EmbedderError`."""
        found: list[bytes | None] = [None] * len(texts)
        sent = [row for row, text in enumerate(texts) if self._may_send(text)]
        due = self._context.monotonic() + self._context.deadline
        for start in range(0, len(sent), _BATCH_TEXTS):
            rows = sent[start : start + _BATCH_TEXTS]
            vectors = self._vectors(await self._ask([texts[row] for row in rows], due), len(rows))
            for row, vector in zip(rows, vectors, strict=True):
                found[row] = vector
        return found

    def take_usage(self) -> tuple[int, int]:
        """Return the requests answered since the last call, and their tokens."""
        with self._lock:
            used, self._used = self._used, (0, 0)
        return used

    async def close(self) -> None:
        """Close the connections of the caller's event loop or process; others close their own."""
        with self._lock:
            client = self._clients.pop(self._context.loop_or_process(), None)
        if client is not None:
            await (client.aclose() if self._context.suspending else _done(client.close))

    def _may_send(self, text: str) -> bool:
        if len(text) > self._longest or not text.strip():
            return False
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
        return True

    async def _ask(self, texts: list[str], due: float) -> bytes:
        """Return the body of an answer with status 200."""
        body = _encode({**self._request, "input": texts})
        headers = {"content-type": "application/json"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        most = len(texts) * _MOST_BYTES
        got = bytearray()
        try:
            async with self._sending(body, headers) as response:
                if response.status_code != 200:
                    raise EmbedderError(_refusal(response.status_code))
                async with aclosing(self._pieces(response)) as pieces:
                    async for piece in pieces:
                        got += piece
                        if self._context.monotonic() > due:
                            raise EmbedderError("the embeddings endpoint took too long")
                        if len(got) > most:
                            raise EmbedderError("the endpoint's answer is far too long")
        except self._library.TimeoutException:
            raise EmbedderError("the embeddings endpoint took too long") from None
        except (self._library.HTTPError, self._library.InvalidURL) as error:
            kind = type(error).__name__
            raise EmbedderError(f"the embeddings endpoint does not answer: {kind}") from None
        return bytes(got)

    @asynccontextmanager
    async def _sending(self, body: bytes, headers: dict[str, str]) -> AsyncIterator[Any]:
        request = self._client().stream("POST", self._url, content=body, headers=headers)
        if self._context.suspending:
            async with request as response:
                yield response
        else:
            with request as response:
                yield response

    async def _pieces(self, response: Any) -> AsyncGenerator[bytes, None]:
        if self._context.suspending:
            async for piece in response.aiter_bytes():
                yield piece
        else:
            for piece in response.iter_bytes():
                yield piece

    def _client(self) -> Any:
        place = self._context.loop_or_process()
        with self._lock:
            client = self._clients.get(place)
            if client is None:
                kind = "AsyncClient" if self._context.suspending else "Client"
                # A redirect is an error: it would send the key, or the texts, elsewhere.
                client = getattr(self._library, kind)(
                    timeout=self._context.deadline, follow_redirects=False
                )
                self._clients[place] = client
        return client

    def _vectors(self, body: bytes, count: int) -> Iterator[bytes]:
        try:
            answer = _decode(body)
            by_place = {vector.index: vector.embedding for vector in answer.data}
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise EmbedderError("the embeddings endpoint's answer has no embeddings") from None
        with self._lock:
            requests, tokens = self._used
            self._used = (requests + 1, tokens + answer.tokens)
        if sorted(by_place) != list(range(count)):
            raise EmbedderError("the embeddings endpoint did not answer for each text")
        vectors = [_numbers(by_place[place]) for place in range(count)]
        with self._lock:
            dimensions = self.dimensions or len(vectors[0])
            for vector in vectors:
                if len(vector) != dimensions:
                    raise EmbedderError(
                        f"the embeddings endpoint gave {len(vector)} numbers"
                        f" instead of {dimensions}"
                    )
            self.dimensions = dimensions
        return map(_unit, vectors)


def _endpoint(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise ConfigError("an embeddings endpoint's address looks like https://HOST/v1")
    if parts.username or parts.password:
        raise ConfigError("an embeddings endpoint's key does not belong into its address")
    return f"{base_url.rstrip('/')}/embeddings"


def _refusal(status: int) -> str:
    if status in (401, 403):
        return f"the embeddings endpoint refuses the key ({status})"
    return f"the embeddings endpoint answered {status}"


def _numbers(embedding: list[float] | str) -> Sequence[float]:
    """Read a vector, a list of numbers or little-endian float32 in base64."""
    if not isinstance(embedding, str):
        return embedding
    try:
        data = base64.b64decode(embedding, validate=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    except (binascii.Error, ValueError, struct.error):
        raise EmbedderError("the embeddings endpoint gave a vector that is not float32") from None


def _unit(vector: Sequence[float]) -> bytes:
    length = math.hypot(*vector)
    if not (math.isfinite(length) and length > 0):
        raise EmbedderError("the embeddings endpoint gave a vector without a direction")
    return struct.pack(f"<{len(vector)}f", *[number / length for number in vector])


async def _done(close: Callable[[], None]) -> None:
    close()
