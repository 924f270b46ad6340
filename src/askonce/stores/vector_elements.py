"""Elements of a shared vector index: the name that a key has there, and checks of vectors."""

import hashlib
import struct

from askonce.core.errors import StoreError
from askonce.core.models import Key

_LONGEST_SECONDS = 1e12


def element_of(key: Key) -> bytes:
    """Return the name of a key's vector in the index."""
    return str(key).encode(errors="surrogatepass")


def key_of(element: bytes) -> Key | None:
    """Return the key that an element names; None for one that AskOnce did not write."""
    try:
        return Key.parse(element.decode(errors="surrogatepass"))
    except ValueError:
        return None


def embedder_digest(embedder: str, dimensions: int, size: int) -> str:
    """Return the hexadecimal digest, of `size` bytes, that names the vectors of one embedder."""
    name = b"%d/%s" % (dimensions, embedder.encode(errors="surrogatepass"))
    return hashlib.blake2b(name, digest_size=size).hexdigest()


def floats_of(vector: bytes, dimensions: int) -> tuple[float, ...]:
    """Return a vector's numbers.

    Raises `StoreError` if it does not have `dimensions` little-endian float32, or has no length.
    """
    if len(vector) != 4 * dimensions:
        raise StoreError(f"the vector does not have {dimensions} dimensions")
    floats = struct.unpack(f"<{dimensions}f", vector)
    if not 0 < sum(one * one for one in floats) < float("inf"):
        raise StoreError("the vector has no direction")
    return floats


def bounded_expiry(expires: float) -> float:
    """Return the expiry in seconds since the Unix epoch, within what every engine can hold."""
    return max(min(expires, _LONGEST_SECONDS), -_LONGEST_SECONDS)
