"""A blocking embedder for event loops: every call runs in a thread of its own."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from askonce.protocols import Embedder

T = TypeVar("T")


class RunInThread(Protocol):
    async def __call__(self, story: Callable[[], Coroutine[Any, Any, T]]) -> T: ...

    def close(self) -> None: ...


class ThreadedEmbedder:
    """The same vectors as of the embedder inside, without ever blocking the loop."""

    def __init__(self, embedder: Embedder, run: RunInThread) -> None:
        self._embedder = embedder
        self._run = run
        self.name = embedder.name

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    @dimensions.setter
    def dimensions(self, dimensions: int) -> None:
        self._embedder.dimensions = dimensions

    async def embed(self, texts: Sequence[str]) -> list[bytes | None]:
        return await self._run(lambda: self._embedder.embed(texts))

    async def close(self) -> None:
        await self._run(self._embedder.close)
        self._run.close()
