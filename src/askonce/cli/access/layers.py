"""The layers of the settings as one cache, for commands that remove entries from all of them."""

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
"""The limit for one call: short, so that a user soon hears of a dead store. A scan of a whole store
has a longer one."""
_MEMORY_BYTES = 1 << 20


def existing_layers(settings: Settings) -> list[Layer]:
    """List the layers below memory that exist. Raises StoreError if the last one does not."""
    if settings.shared_url == MEMORY:
        raise StoreError(
            "the store is memory:, which only the running gateway has; ask it with"
            " POST /askonce/invalidate"
        )
    open_existing(settings)  # complains if there is none, and connects to nothing
    return [
        msgspec.structs.replace(layer, deadline=_DEADLINE)
        for layer in settings.layers
        if layer.store != MEMORY and _is_there(layer)
    ]


def existing_cache(settings: Settings) -> Cache:
    """Open a cache over these layers, with very little memory of its own."""
    # A failure ends the command with a line of its own: no warning beside it.
    logging.getLogger("askonce.boundary").setLevel(logging.ERROR)
    own = Layer(MEMORY, size=_MEMORY_BYTES)
    layers = [own, *existing_layers(settings)]
    cache = Cache(layers=layers, audit=settings.admin.audit, semantic=_semantic(settings))
    if cache.assembly.semantic is not None:
        cache.assembly.semantic.reconciler.disable()
    return cache


def _semantic(settings: Settings) -> Semantic:
    """Keep the semantic layer if it can run, so that removed entries leave the index too."""
    semantic = settings.semantic
    return semantic if semantic.is_on and is_installed(semantic.embedder) else OFF


def _is_there(layer: Layer) -> bool:
    """Detect a SQLite layer without a file: it holds nothing, and looking must not make one."""
    path = sqlite_path(str(layer.store))
    return path is None or Path(path).is_file()
