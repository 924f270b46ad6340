"""The layers of the settings as one cache, for commands that take something out of all of them."""

import logging
from datetime import timedelta
from pathlib import Path

import msgspec

from askonce.cli.access.stores import open_existing
from askonce.config.settings import Settings
from askonce.core.errors import StoreError
from askonce.library.cache import Cache
from askonce.semantic.embedders.open_embedder import is_installed
from askonce.semantic.settings import OFF, Semantic
from askonce.stores.open_store import sqlite_path
from askonce.stores.tiered.layers import MEMORY, Layer

_DEADLINE = timedelta(seconds=2)
"""For one call: nobody waits for an answer here, but whoever types wants to hear of a dead store.
What looks through a whole store has its own patience."""
_MEMORY_BYTES = 1 << 20


def existing_layers(settings: Settings) -> list[Layer]:
    """The layers below memory that are there already. Raises StoreError if the last one is not."""
    if settings.shared_url == MEMORY:
        raise StoreError(
            "the store is memory:, which only the running gateway holds; ask that one with"
            " POST /askonce/invalidate"
        )
    open_existing(settings)  # complains if there is none, and connects to nothing
    return [
        msgspec.structs.replace(layer, deadline=_DEADLINE)
        for layer in settings.layers
        if layer.store != MEMORY and _is_there(layer)
    ]


def existing_cache(settings: Settings) -> Cache:
    """A cache over these layers, with next to no memory of its own."""
    # What fails here ends the command with a line of its own.
    logging.getLogger("askonce.boundary").setLevel(logging.ERROR)
    own = Layer(MEMORY, size=_MEMORY_BYTES)
    layers = [own, *existing_layers(settings)]
    cache = Cache(layers=layers, audit=settings.admin.audit, semantic=_semantic(settings))
    if cache.assembly.semantic is not None:
        cache.assembly.semantic.indexing.rest()
    return cache


def _semantic(settings: Settings) -> Semantic:
    """So that what is removed leaves the index too, where there can be one."""
    semantic = settings.semantic
    return semantic if semantic.is_on and is_installed(semantic.embedder) else OFF


def _is_there(layer: Layer) -> bool:
    """A layer between that has no file yet holds nothing, and looking never makes one."""
    path = sqlite_path(str(layer.store))
    return path is None or Path(path).is_file()
