"""Compressed request bodies: the codings that are decoded, the bounds, and the refusals."""

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.content_encoding import codings_of
from askonce.core.models import Reason
from askonce.formats import content_decoding
from askonce.formats.content_decoding import CODINGS, MOST_CODINGS, decoded

MOST = 4_096


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def streamed_zstd(body: bytes) -> bytes:
    """A frame that does not say how long its content is."""
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(body) + packer.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "br": brotli.compress,
}
OTHER_PACKERS = [("deflate", raw_deflate), ("zstd", streamed_zstd)]
EVERY = [*PACKERS.items(), *OTHER_PACKERS]


def test_every_coding_of_the_table_is_packed_here() -> None:
    assert set(PACKERS) == set(CODINGS)


@pytest.mark.parametrize(("coding", "pack"), EVERY)
@given(body=st.binary(max_size=MOST))
def test_what_is_packed_is_unpacked(
    coding: str, pack: Callable[[bytes], bytes], body: bytes
) -> None:
    assert decoded(pack(body), (coding,), MOST) == body


@given(st.binary(max_size=200), st.lists(st.sampled_from(CODINGS), max_size=MOST_CODINGS))
def test_codings_may_be_stacked(body: bytes, codings: list[str]) -> None:
    packed = body
    for coding in codings:
        packed = PACKERS[coding](packed)
    assert decoded(packed, tuple(codings), MOST) == body


@pytest.mark.parametrize(("coding", "pack"), EVERY)
def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not(
    coding: str, pack: Callable[[bytes], bytes]
) -> None:
    assert decoded(pack(b"a" * MOST), (coding,), MOST) == b"a" * MOST
    assert decoded(pack(b"a" * (MOST + 1)), (coding,), MOST) is Reason.TOO_LARGE


@pytest.mark.parametrize(("coding", "pack"), EVERY)
def test_a_bomb_is_too_large_at_every_layer(coding: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(50_000_000))
    assert len(bomb) < 100_000
    assert decoded(bomb, (coding,), MOST) is Reason.TOO_LARGE
    assert decoded(gzip.compress(bomb), (coding, "gzip"), 200_000) is Reason.TOO_LARGE


@pytest.mark.parametrize(("coding", "pack"), EVERY)
def test_a_cut_a_long_and_a_broken_body_are_malformed(
    coding: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(b'{"model": "m", "messages": []}')
    for broken in (b"", packed[:-1], packed[: len(packed) // 2], packed + b"x", b"{}"):
        assert decoded(broken, (coding,), MOST) is Reason.MALFORMED, broken


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_few_members_are_one_body_and_very_many_are_refused(coding: str) -> None:
    pack = PACKERS[coding]
    assert decoded(pack(b"one") + pack(b"two"), (coding,), MOST) == b"onetwo"
    assert decoded(pack(b"") * 2_000, (coding,), MOST) is Reason.MALFORMED


def test_a_zstd_window_that_no_http_client_may_use_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(b"a" * 100) + packer.flush()
    assert decoded(packed, ("zstd",), MOST) is Reason.MALFORMED


def test_unknown_and_missing_codings_have_their_own_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert decoded(b"{}", ("compress",), MOST) is Reason.UNKNOWN_ENCODING
    assert decoded(gzip.compress(b"{}"), ("aws-chunked", "gzip"), MOST) is Reason.UNKNOWN_ENCODING
    monkeypatch.setattr(content_decoding, "_brotli_library", None)
    assert decoded(brotli.compress(b"{}"), ("br",), MOST) is Reason.UNKNOWN_ENCODING


def test_too_many_codings_are_too_large() -> None:
    packed = b"{}"
    for _ in range(MOST_CODINGS + 1):
        packed = gzip.compress(packed)
    assert decoded(packed, ("gzip",) * (MOST_CODINGS + 1), MOST) is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("value", "codings"),
    [
        (None, ()), ("", ()), ("identity", ()), ("GZIP", ("gzip",)), (" gzip ,br", ("gzip", "br")),
        ("identity, gzip", ("gzip",)), ("gzip,,zstd", ("gzip", "zstd")),
    ],
)  # fmt: skip
def test_the_header_names_codings_in_order(value: str | None, codings: tuple[str, ...]) -> None:
    assert codings_of({} if value is None else {"content-encoding": value}) == codings
