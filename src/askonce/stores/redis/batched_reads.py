"""Lanes: reads of one event loop that come while others are on their way travel together.

A read goes at once if no other is under way. Whoever comes meanwhile waits for the lane to be free,
and then one of those who wait reads for all of them, in one command. So under load a round trip
carries many reads, a single read waits for nobody, and no read for more than two round trips.
Nothing is read on behalf of who has left.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

_LANES = 1
_TOGETHER = 64

ReadAll = Callable[[Sequence[bytes]], Awaitable[tuple[list[Any], Any]]]
"""Reads the values of these names and the label that goes with them."""


class _Seat:
    """Somebody who waits: told the value, an error, or (None) to read for all in `company`."""

    __slots__ = ("company", "name", "told")

    def __init__(self, name: bytes, told: Any) -> None:
        self.name = name
        self.told = told
        self.company: list[_Seat] = []


class _Hall:
    """Those who wait in one event loop, and how many lanes are taken."""

    __slots__ = ("taken", "waiting")

    def __init__(self) -> None:
        self.taken = 0
        self.waiting: deque[_Seat] = deque()


class BatchedReads:
    """Bundles the reads of each event loop; `place` is the loop of whoever calls."""

    def __init__(self, read_all: ReadAll, place: Callable[[], Any]) -> None:
        self._read_all = read_all
        self._place = place
        self._halls: WeakKeyDictionary[Any, _Hall] = WeakKeyDictionary()

    async def read(self, name: bytes) -> tuple[Any, Any]:
        """The value under a name, and its label. Raises what reading raises."""
        loop = self._place()
        hall = self._halls.get(loop)
        if hall is None:
            hall = self._halls[loop] = _Hall()
        if hall.taken < _LANES:
            hall.taken += 1
            return await self._lead(hall, _Seat(name, None), [])
        seat = _Seat(name, loop.create_future())
        hall.waiting.append(seat)
        try:
            told = await seat.told
        except BaseException:
            # Stopped, or told of an error; where the lane was handed over, the next one takes it.
            if seat.company:
                self._free(hall, seat.company[1:])
            if seat.told.done() and not seat.told.cancelled():
                seat.told.exception()  # now somebody has seen it
            raise
        if told is not None:
            value: tuple[Any, Any] = told
            return value
        return await self._lead(hall, seat, seat.company[1:])

    async def _lead(self, hall: _Hall, seat: _Seat, others: list[_Seat]) -> tuple[Any, Any]:
        """Read for oneself and for the others, then hand the lane over."""
        others = [other for other in others if not other.told.done()]
        back: list[_Seat] = []
        try:
            names = [seat.name, *[other.name for other in others]]
            values, label = await self._read_all(names)
            for other, value in zip(others, values[1:], strict=True):
                if not other.told.done():
                    other.told.set_result((value, label))
            return values[0], label
        except Exception as error:
            for other in others:
                if not other.told.done():
                    other.told.set_exception(error)
            raise
        except BaseException:
            back = others  # only this one is stopped: the others are read for by the next
            raise
        finally:
            self._free(hall, back)

    def _free(self, hall: _Hall, back: list[_Seat]) -> None:
        """Hand the lane to those who wait, or give it up."""
        hall.waiting.extendleft(reversed(back))
        company: list[_Seat] = []
        while hall.waiting and len(company) < _TOGETHER:
            seat = hall.waiting.popleft()
            if not seat.told.done():
                company.append(seat)
        if company:
            company[0].company = company
            company[0].told.set_result(None)
        else:
            hall.taken -= 1
