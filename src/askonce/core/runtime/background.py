"""A periodic worker: one small piece of work, again and again, in a daemon thread."""

import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

from askonce.core.runtime.threads import run_sync

Job = Callable[[], Coroutine[Any, Any, float]]


class PeriodicWorker:
    """Repeats one small piece of work in a daemon thread of its own.

    The thread ends when it is stopped or when the object that `work` is a method of is gone. A
    fork does not inherit it; `start` starts it again there.

    Parameters:
        name: the thread's name.
        work: a method that does the work once and returns how many seconds to pause before the
            next time.
    """

    def __init__(self, name: str, work: Job) -> None:
        self._name = name
        self._work = weakref.WeakMethod(work)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def start(self) -> bool:
        """Start the thread; False if it runs already in this process or was stopped for good."""
        if self._thread is not None and self._pid == os.getpid():
            return False
        with self._lock:
            if self._stopped.is_set() or (self._thread is not None and self._pid == os.getpid()):
                return False
            self._pid = os.getpid()
            args = (self._work, self._stopped)
            self._thread = threading.Thread(target=_repeat, args=args, name=self._name, daemon=True)
            self._thread.start()
            return True

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """Stop for good, after the piece of work in progress."""
        self._stopped.set()


def _repeat(work: "weakref.WeakMethod[Job]", stopped: threading.Event) -> None:
    while not stopped.is_set():
        piece = work()
        if piece is None:
            return
        pause = run_sync(piece())
        del piece
        stopped.wait(pause)
