"""JSON values: the check and the one-line encoding that all wire formats share."""

import msgspec

_decode = msgspec.json.Decoder().decode


def is_json(text: str) -> bool:
    """Whether a text is one JSON value."""
    try:
        _decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def on_one_line(encoded: bytes) -> bytes:
    """Escape the characters in encoded JSON that some readers take for line ends.

    JSON itself escapes LF and CR. Readers that split like `str.splitlines` also break at NEL, LS
    and PS, which occur only inside strings, and would read the rest of one as a new line.
    """
    if not encoded.isascii():
        encoded = encoded.replace(b"\xc2\x85", b"\\u0085")
        encoded = encoded.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return encoded
