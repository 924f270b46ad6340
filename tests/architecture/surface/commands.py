"""What the program `askonce` understands: commands, options, choices, defaults, exit statuses.

Everything is read from `--help` through the program's entry point. The prose of a help page is left
out, because better words change nothing for a script.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

from askonce.cli import main

_SUBCOMMANDS = re.compile(r"^(?:commands|verbs):\n  [A-Z]+\n((?:    .*\n?)+)", re.MULTILINE)
_DEFAULT = re.compile(r"(--[\w-]+)(?: [^\s-]\S*)?(?:(?!\n  \S).)*?\(default: (\S+?)\)", re.DOTALL)


class Done:
    """What one command line did: its exit status, and both of its outputs."""

    def __init__(self, *arguments: str) -> None:
        out, complaints = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaints):
            try:
                self.status: object = main(arguments)
            except SystemExit as end:
                self.status = end.code
        self.out = out.getvalue()
        self.complaint = complaints.getvalue()


def lines(folder: Path) -> Iterator[str]:
    """The usage of every command, then the exit statuses; `folder` is empty and writable."""
    yield from _usages()
    yield ""
    yield "# Exit statuses."
    right, missing, wrong = (folder / f"{name}.toml" for name in ("right", "missing", "wrong"))
    right.touch()
    wrong.write_text("[cache]\nttl = 'soon'\n", encoding="utf-8")
    for what, arguments in {
        "a version": ["--version"],
        "settings that are right": ["config", f"--config={right}"],
        "an unknown command": ["unheard-of"],
        "an unknown option": ["stats", "--unheard-of"],
        "a file of settings that is not there": ["config", f"--config={missing}"],
        "a setting that cannot be read": ["config", f"--config={wrong}"],
    }.items():
        done = Done(*arguments)
        where = "nothing on stderr" if not done.complaint else "one line on stderr"
        assert done.complaint.count("\n") == bool(done.complaint), done.complaint
        yield f"{what}: {done.status}, {where}"


def _usages(*command: str) -> Iterator[str]:
    page = Done(*command, "--help").out
    usage = page.partition("\n\n")[0]
    yield " ".join(usage.split())
    for option, default in _DEFAULT.findall(page):
        yield f"    {option} is {default} by default"
    listed = _SUBCOMMANDS.search(page)
    for name in re.findall(r"^    ([a-z][\w-]*)", listed[1] if listed else "", re.MULTILINE):
        yield from _usages(*command, name)
