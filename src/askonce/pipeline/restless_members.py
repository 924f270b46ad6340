"""Restless members: headers and members of a body that differ in each call, so that nothing hits.

A tracing id in a header that counts makes every call a question of its own, and nothing shows it.
So the calls that were not recognized from memory are compared: for each route and each name, a
window of calls with the hashes of its values and of the questions. A name whose values all differ
in one window, while a question came twice or nothing was ever a hit, is reported once.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from askonce.core.bounded import BoundedMap
from askonce.core.keys import canonical
from askonce.core.origins import QUESTION_MEMBERS
from askonce.formats.end_user import END_USER

_log = logging.getLogger("askonce.keys")

WINDOW = 20
"""Calls of one route that are compared before a name is reported."""

_ROUTES = 64
_NAMES = 64  # of one route
_REPORTS = 64
_HASHED_AS_IS = frozenset({str, int, float, bool})


class _Window:
    """The calls of one name: the hashes of its values and of the questions."""

    __slots__ = ("calls", "last", "questions", "values")

    def __init__(self) -> None:
        self.calls = 0
        self.last = 0
        self.values: set[int] = set()
        self.questions: set[int] = set()


_Windows = BoundedMap[tuple[bool, str], _Window]


class RestlessMembers:
    """Finds headers and members that never repeat; both modes share it.

    It keeps salted hashes of values, never a value.

    Args:
        has_hits: Returns whether any call was a hit so far.
    """

    def __init__(self, has_hits: Callable[[], bool]) -> None:
        self._has_hits = has_hits
        self._routes: BoundedMap[tuple[str, str], _Windows] = BoundedMap(_ROUTES)
        self._found: BoundedMap[tuple[bool, str], str] = BoundedMap(_REPORTS)

    @property
    def found(self) -> dict[str, str]:
        """The names that were found, each with a sentence that says what to do."""
        return {_shown(named): advice for named, advice in self._found.items()}

    def observe(
        self,
        route: tuple[str, str],
        question: str,
        headers: Iterable[tuple[str, str]],
        members: Mapping[str, Any],
    ) -> None:
        """Take a call into account.

        Args:
            route: The address and the path, without a query.
            question: The text of the last user turn.
            headers: The headers that are part of the question.
            members: The members of the body that are.
        """
        windows = self._routes.get(route)
        if windows is None:
            windows = self._routes[route] = BoundedMap(_NAMES)
        asked = hash(question)
        for name, value in headers:
            self._add(windows, (False, name), hash(value), asked)
        for name, value in members.items():
            if name not in QUESTION_MEMBERS and value is not None:
                plain = type(value) in _HASHED_AS_IS
                self._add(windows, (True, name), hash(value if plain else canonical(value)), asked)

    def _add(self, windows: _Windows, named: tuple[bool, str], value: int, asked: int) -> None:
        window = windows.get(named)
        if window is None:
            window = windows[named] = _Window()
        window.calls += 1
        # Most values are those of the call before.
        if value != window.last or not window.values:
            window.last = value
            window.values.add(value)
        window.questions.add(asked)
        if window.calls >= WINDOW:
            windows[named] = _Window()
            self._judge(named, window)

    def _judge(self, named: tuple[bool, str], window: _Window) -> None:
        if len(window.values) < window.calls or named in self._found:
            return
        if len(window.questions) < window.calls or not self._has_hits():
            advice = self._found[named] = f"{_shown(named)} differs in each call: {_mend(named)}"
            _log.warning("%s", advice)


def _shown(named: tuple[bool, str]) -> str:
    is_member, name = named
    return f"member `{name}`" if is_member else name


def _mend(named: tuple[bool, str]) -> str:
    is_member, name = named
    if not is_member:
        return "add it to ignore_headers if it changes no answer"
    if name in END_USER:
        return "set stateless = true for the provider if its answers are the same for all users"
    return "add it to ignore_members if it changes no answer"
