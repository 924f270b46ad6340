"""A progress meter on stderr: a bar on a terminal, lines in a log."""

import sys
from types import TracebackType
from typing import Any, Self

from askonce.core.runtime.threads import SyncRuntime

_LINE_EVERY_S = 5.0


class Meter:
    """Shows a growing number of entries (or other `things`), and the rate in a second.

    `total` is the final number, None if it is unknown. The first number that is
    reported counts as done before.
    """

    def __init__(self, verb: str, total: int | None = None, *, things: str = "entries") -> None:
        self._verb = verb
        self._things = things
        self._total = total
        self._tick = SyncRuntime().monotonic
        self._began = self._tick()
        self._lined = self._began
        self._started: int | None = None
        self._bar: Any = None

    def report(self, done: int) -> None:
        """Show that `done` things are done."""
        if self._started is None:
            self._started = done
        if self._bar is not None:
            self._bar.update(0, completed=done)
        elif self._tick() - self._lined >= _LINE_EVERY_S:
            self._lined = self._tick()
            of = f" of {self._total:,}" if self._total is not None else ""
            rate = round((done - self._started) / self.seconds)
            print(f"{self._verb}: {done:,}{of} {self._things}, {rate:,} a second", file=sys.stderr)

    @property
    def seconds(self) -> float:
        """The elapsed seconds, never zero."""
        return max(1e-6, self._tick() - self._began)

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = _new_bar(self._things)
        if self._bar is not None:
            self._bar.add_task(self._verb, total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _new_bar(things: str) -> Any:
    """Make a bar with rich; None if rich is not installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ModuleNotFoundError:
        return None
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Things(ProgressColumn):
        """A column with the number of things and the rate."""

        def render(self, task: Task) -> Text:
            of = f" of {task.total:,.0f}" if task.total is not None else ""
            return Text(f"{task.completed:,.0f}{of} {things}, {task.speed or 0:,.0f} a second")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        Things(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
