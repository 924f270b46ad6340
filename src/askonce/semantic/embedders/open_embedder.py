"""Open an embedder by its address: `local`, `https://HOST/v1?model=NAME` and more.

Importing this module imports no embedder; opening one imports that one.
"""

import importlib.util
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from askonce.core.errors import ConfigError
from askonce.core.protocols import Embedder
from askonce.stores.context import StoreContext

ADDRESSES = (
    "local",
    "https://HOST/v1?model=NAME",
    "sentence-transformers:NAME",
    "fastembed:NAME",
)
_OPTIONS = {"model": str, "dimensions": int, "longest": int, "encoding": str}


def open_embedder(address: str, context: StoreContext, *, key: str | None = None) -> Embedder:
    """Open the embedder that an address names, without loading or connecting anything.

    An embedder in this process blocks, for async callers too (see `is_local`).

    Parameters:
        address: one of the forms in `ADDRESSES`.
        context: locks, clocks and the deadline; async callers only for an endpoint.
        key: the API key of an endpoint. Default: none is sent.

    Raises `ConfigError` if the address names no embedder or its library is not installed.
    """
    scheme, _, rest = address.partition(":")
    if address == "local":
        from askonce.semantic.embedders.local import LocalEmbedder

        return LocalEmbedder(lock=context.lock())
    if scheme in ("sentence-transformers", "fastembed"):
        from askonce.semantic.embedders.installed import (
            FastembedEmbedder,
            SentenceTransformersEmbedder,
        )

        if not rest:
            raise ConfigError(f"{scheme}: needs a model's name; write {scheme}:NAME")
        kind = FastembedEmbedder if scheme == "fastembed" else SentenceTransformersEmbedder
        return kind(rest, lock=context.lock())
    if scheme in ("http", "https"):
        return _endpoint(address, context, key)
    raise ConfigError(f"no embedder has this address; write one of {', '.join(ADDRESSES)}")


def is_local(address: str) -> bool:
    """Is the embedder in this process, so that it blocks and all callers share it?"""
    return not address.startswith(("http://", "https://"))


def is_installed(address: str) -> bool:
    """Are the libraries installed that an embedder and an index in this process need?"""
    needs = _LOCAL if address == "local" else _INDEX
    return all(importlib.util.find_spec(library) is not None for library in needs)


_INDEX = ("numpy", "re2", "usearch")
_LOCAL = (*_INDEX, "askonce_models", "onnxruntime", "tokenizers")


def _endpoint(address: str, context: StoreContext, key: str | None) -> Embedder:
    from askonce.semantic.embedders.endpoint import EndpointEmbedder

    options: dict[str, Any] = {}
    try:
        parts = urlsplit(address)
        named = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
        for name, text in named:
            options[name] = _OPTIONS[name](text)
    except KeyError as error:
        raise ConfigError(
            f"an embeddings endpoint has no option {error}; there are {', '.join(_OPTIONS)}"
        ) from None
    except ValueError:
        raise ConfigError(
            "an embeddings endpoint's address looks like https://HOST/v1?model=NAME&dimensions=512"
        ) from None
    if not options.get("model"):
        raise ConfigError("an embeddings endpoint needs a model; add ?model=NAME to its address")
    return EndpointEmbedder(
        parts._replace(query="", fragment="").geturl(), key=key, context=context, **options
    )
