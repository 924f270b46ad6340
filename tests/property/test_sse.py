"""The splitter finds the same events in whatever pieces the bytes arrive."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.sse import Splitter, SseEvent, parse

LINES = st.sampled_from(
    [
        b"data: {}",
        b"data:[1]",
        b"data",
        b"data:  two blanks",
        b"data: \xe2\x80\xa8data: not a line\xc2\x85\x0b\x0c",
        b"event: ping",
        b"event:error",
        b": comment",
        b":",
        b"id: 7",
        b"retry: 10",
        b"unknown: x",
        b"\xef\xbb\xbf",
        b"",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS).map(b"".join), max_size=12).map(b"".join)


def events_of(pieces: list[bytes]) -> tuple[list[SseEvent], bytes]:
    splitter = Splitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events, splitter.rest


def fields_of(stream: bytes) -> list[tuple[bytes, bytes]]:
    """Names and data of the whole events, line by line as the specification of SSE reads."""
    lines = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[tuple[bytes, bytes]] = []
    name = b""
    data: list[bytes] = []
    for line in lines.split(b"\n")[:-1]:
        if not line:
            if data:
                events.append((name, b"\n".join(data)))
            name, data = b"", []
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        if field == b"event":
            name = value.removeprefix(b" ")
    return events


@given(STREAMS, st.lists(st.integers(0, 200), max_size=8))
def test_pieces_do_not_matter(stream: bytes, cuts: list[int]) -> None:
    whole = events_of([stream])
    assert events_of([stream[at : at + 1] for at in range(len(stream))]) == whole
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert events_of(pieces) == whole


@given(STREAMS)
def test_two_pieces_cut_anywhere(stream: bytes) -> None:
    whole = events_of([stream])
    for at in range(len(stream) + 1):
        assert events_of([stream[:at], stream[at:]]) == whole


@given(STREAMS)
def test_no_byte_is_lost(stream: bytes) -> None:
    events, rest = events_of([stream])
    assert b"".join(event.raw for event in events) + rest == stream.removeprefix(b"\xef\xbb\xbf")


@given(STREAMS)
def test_events_are_those_of_the_specification(stream: bytes) -> None:
    stream += b"\n\ndata: last\n\n"
    events, rest = events_of([stream])
    assert rest == b""
    assert [(event.name, event.data) for event in events if event.data] == [
        (name, data) for name, data in fields_of(stream) if data
    ]


@pytest.mark.parametrize(
    ("raw", "name", "data"),
    [
        (b"data: x\n\n", b"", b"x"),
        (b"data:x\r\n\r\n", b"", b"x"),
        (b"data: a\ndata: b\n\n", b"", b"a\nb"),
        (b"data: a\rdata: b\n\n", b"", b"a\nb"),
        (b"event: e\ndata: x\n\n", b"e", b"x"),
        (b"data:  x\n\n", b"", b" x"),
        (b": OPENROUTER PROCESSING\n\n", b"", b""),
        ("data: a\u2028b\u0085c\n\n".encode(), b"", "a\u2028b\u0085c".encode()),
    ],
)
def test_parse(raw: bytes, name: bytes, data: bytes) -> None:
    assert parse(raw) == SseEvent(name, data, raw)


def test_mark_is_dropped_at_the_start_only() -> None:
    mark = b"\xef\xbb\xbf"
    events, _ = events_of([mark[:1], mark[1:], mark + b"data: x\n\n"])
    assert events == [SseEvent(b"", b"", mark + b"data: x\n\n")]


def test_last_return_waits_for_its_line_feed() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: x\r\n\r") == []
    assert [event.raw for event in splitter.feed(b"\n")] == [b"data: x\r\n\r\n"]
    assert splitter.rest == b""


def test_what_has_not_ended_is_rest() -> None:
    splitter = Splitter(limit=10)
    assert len(splitter.feed(b"data: 1\n\ndata: 2\n")) == 1
    assert splitter.rest == b"data: 2\n"
    assert not splitter.overfull
    splitter.feed(b"data")
    assert splitter.overfull
