"""Open the index of vectors in this process.

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
    """Open the index for the vectors of one embedder.

    Parameters:
        embedder: the name of the embedder; a file of another one is not used.
        dimensions: the numbers of a vector.
        lock: guards every operation.
        clock: seconds since the Unix epoch.
        max_entries: the entries of one scope. Default: no limit.
        max_bytes: the size of the whole index in memory. Default: no limit.
        path: the file to load and save. Default: memory only.
        load: read the file now; otherwise when `load` of the index is called.

    Raises `ConfigError` if the libraries are not installed.
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
