"""Flights: the questions that are being asked right now, each of them once."""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any

from askonce.pipeline.recording import Recording


class Flights:
    """Joins simultaneous callers of one question to one recording."""

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock
        self._flying: dict[Hashable, Recording] = {}

    def __len__(self) -> int:
        return len(self._flying)

    def join(self, flight: Hashable, take_off: Callable[[], Recording]) -> tuple[Recording, bool]:
        """Enter the recording of this flight, a new one if nobody asks yet; True for its leader."""
        with self._lock:
            recording = self._flying.get(flight)
            if recording is not None and recording.enter():
                recording.joined += 1
                return recording, False
            recording = self._flying[flight] = take_off()
            recording.enter()
            return recording, True

    def land(self, flight: Hashable, recording: Recording) -> None:
        """From now on a new caller of this question finds its answer, or asks again."""
        with self._lock:
            if self._flying.get(flight) is recording:
                del self._flying[flight]
