"""The audit log: one line for each invalidation, with who did it and how many entries it removed.

The line goes to the logger `askonce.audit` and, if the settings name a file, to that file. A line
is JSON in ASCII without line breaks, so text that a caller sent can never look like a line.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from askonce.core.fail_open import FailOpen
from askonce.invalidation.append_file import AppendFile

_log = logging.getLogger("askonce.audit")


class Audit:
    """Writes audit lines.

    Parameters:
        boundary: Counts a file that cannot be written; the call continues.
        now: The wall clock, in seconds since the Unix epoch.
        path: The path of the file; None only logs the lines.
    """

    def __init__(
        self, boundary: FailOpen, now: Callable[[], float], path: str | None = None
    ) -> None:
        self._boundary = boundary
        self._now = now
        self._file = None if path is None else AppendFile(path)

    def __call__(
        self,
        who: str,
        what: Mapping[str, Any],
        entries: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> None:
        """Write that `who` invalidated `what` and these tags.

        `entries` is how many entries that removed, None if they were not counted: an invalidation
        by tags does not look at entries.
        """
        line = json.dumps(
            {
                "at": round(self._now(), 3),
                "who": who,
                "what": dict(what),
                "tags": list(tags),
                "entries": entries,
            },
            default=str,
        )
        _log.info("%s", line)
        if self._file is not None:
            with self._boundary.around("audit"):
                self._file.append(f"{line}\n".encode())
