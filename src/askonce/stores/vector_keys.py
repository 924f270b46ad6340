"""Elements: keys as the names of vectors in an index that another engine keeps."""

from askonce.core.models import Key


def element_of(key: Key) -> bytes:
    return str(key).encode(errors="surrogatepass")


def key_of(element: bytes) -> Key | None:
    """The key, or None where somebody else put it there."""
    try:
        return Key.parse(element.decode(errors="surrogatepass"))
    except ValueError:
        return None
