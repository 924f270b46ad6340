"""Open the index of vectors in this process; shared indexes are in `stores`.

Importing this module imports no library of vectors; opening an index does.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from askonce.core.errors import missing_library
from askonce.semantic.index.process import ProcessIndex


def open_process_index(
    embedder: str,
    dimensions: int,
    *,
    lock: AbstractContextManager[Any],
    clock: Callable[[], float],
    max_entries: int | None = None,
    max_bytes: int | None = None,
    path: Path | None = None,
    load: bool = True,
) -> ProcessIndex:
    """The index of one embedder's vectors, with what its file keeps if there is one.

    `lock` is a lock, `clock` tells seconds since the Unix epoch, `max_entries` bounds each scope
    and `max_bytes` all of it. Without `load` the file is only read when `load` is called. Raises
    `ConfigError` where the libraries are not installed.
    """
    try:
        import numpy
        import usearch.index
    except ImportError as error:
        raise missing_library("an index of vectors", str(error.name), "semantic") from None
    libraries = (numpy, usearch.index)
    index = ProcessIndex(
        embedder,
        dimensions,
        libraries=libraries,
        lock=lock,
        clock=clock,
        max_entries=max_entries,
        max_bytes=max_bytes,
        path=path,
    )
    if load:
        index.load()
    return index
