"""Clear refusals of what looks right and is not, for both caches."""

import difflib
import inspect
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from askonce.core.errors import ConfigError

_MEANT = {
    "max_size": "memory='256 MiB' bounds the bytes in memory, Layer(size=...) those of a store",
    "maxsize": "memory='256 MiB' bounds the bytes in memory, Layer(size=...) those of a store",
    "size": "memory='256 MiB' bounds the bytes in memory, Layer(size=...) those of a store",
    "timeout": "Layer(url, deadline='250ms') bounds a call of a store",
    "path": "the first argument is the address: Cache('sqlite:answers.db')",
    "backend": "the first argument is the address: Cache('redis://localhost')",
}


class ClearMisuse:
    """Refuses a wrong argument, the other mode's `with`, and pickling, each in one line."""

    if not TYPE_CHECKING:  # a type checker reads the arguments of `__init__`

        def __new__(cls, *_given: Any, **named: Any) -> Self:
            known = list(inspect.signature(cls.__init__).parameters)[1:]
            for name in named:
                if name not in known:
                    raise ConfigError(
                        f"{cls.__name__} has no argument {name!r}; {_mend(name, known)}"
                    )
            return super().__new__(cls)

    def __enter__(self) -> Self:
        raise ConfigError("an AsyncCache is for event loops; write `async with`, or take a Cache")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Never called: entering is refused."""

    async def __aenter__(self) -> Self:
        raise ConfigError("a Cache is for threads; write `with`, or take an AsyncCache")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Never called: entering is refused."""

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"a {name} cannot be pickled: it holds connections; make one in each process, with the"
            " same address"
        )


def _mend(name: str, known: list[str]) -> str:
    if name in _MEANT:
        return _MEANT[name]
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else "help(Cache) lists them"
