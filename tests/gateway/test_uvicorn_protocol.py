"""Writes of one turn of the event loop leave together, and nothing is lost."""

from collections.abc import Callable

import pytest

from askonce.gateway.uvicorn_protocol import JoinedWrites


class Outside:
    """A transport that remembers what left, and the loop's callbacks until `turn`."""

    def __init__(self) -> None:
        self.left: list[bytes] = []
        self.closed = False
        self._soon: list[Callable[[], None]] = []

    def write(self, data: bytes) -> None:
        if self.closed:
            raise RuntimeError("the handler is closed")
        self.left.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def turn(self) -> None:
        callbacks, self._soon = self._soon, []
        for callback in callbacks:
            callback()


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
def wire(outside: Outside) -> JoinedWrites:
    return JoinedWrites(outside, outside.soon)


def test_what_is_written_in_one_turn_leaves_as_one(outside: Outside, wire: JoinedWrites) -> None:
    wire.write(b"head ")
    wire.write(b"body")
    assert outside.left == []
    outside.turn()
    assert outside.left == [b"head body"]


def test_each_turn_sends_what_it_wrote(outside: Outside, wire: JoinedWrites) -> None:
    for piece in (b"one", b"two"):
        wire.write(piece)
        outside.turn()
    assert outside.left == [b"one", b"two"]


def test_much_does_not_wait_so_that_the_transport_can_push_back(
    outside: Outside, wire: JoinedWrites
) -> None:
    wire.write(b"head ")
    wire.write(b"x" * 100_000)
    assert outside.left == [b"head " + b"x" * 100_000]
    wire.write(b"end")
    outside.turn()
    assert outside.left[1:] == [b"end"]


def test_closing_sends_what_was_written_first(outside: Outside, wire: JoinedWrites) -> None:
    wire.write(b"last words")
    wire.close()
    assert outside.left == [b"last words"]
    assert outside.closed
    outside.turn()
    assert outside.left == [b"last words"]


def test_a_caller_that_went_away_is_not_written_to(outside: Outside, wire: JoinedWrites) -> None:
    wire.write(b"too late")
    outside.close()
    outside.turn()
    wire.close()
    assert outside.left == []


def test_everything_else_is_the_transport_itself(outside: Outside, wire: JoinedWrites) -> None:
    assert not wire.is_closing()
    outside.close()
    assert wire.is_closing()
