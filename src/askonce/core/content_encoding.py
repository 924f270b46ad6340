"""The content encodings that a request names; `formats/content_decoding.py` decodes them."""

from collections.abc import Mapping

HEADER = "content-encoding"


def codings_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the codings of a body in the order in which they were applied; none if it is plain.

    Parameters:
        headers: the request's headers, with lower-case names.
    """
    value = headers.get(HEADER)
    if value is None:
        return ()
    words = [word.strip().lower() for word in value.split(",")]
    return tuple([word for word in words if word and word != "identity"])
