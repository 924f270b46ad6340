"""Logs in which nothing is lost, though not everything is the same."""

from collections.abc import Iterator
from typing import Any

from tests.prompts.conversations import DIALECTS, Prompt, Turn, prompt, tool, words
from tests.prompts.seeds import Seed, line


def clean() -> list[Seed]:
    """All of them, in each dialect."""
    found: list[Seed] = []
    for dialect in DIALECTS:
        for name, lines in _all(dialect):
            lines.sort(key=lambda one: one["ts"])
            found.append(Seed(name, dialect, lines, None))
            nameless = [{k: v for k, v in one.items() if k != "session"} for one in lines]
            found.append(Seed(f"{name} without sessions", dialect, nameless, None))
    return found


def _all(dialect: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "conversations", _conversations(dialect)
    yield "questions", _questions(dialect)
    yield "agents", _agents(dialect)
    yield "asked again", _asked_again(dialect)
    yield "two applications", _two_applications(dialect)
    yield "one session", [{**one, "session": "all"} for one in _questions(dialect)]
    yield "templates", _templates(dialect)


def _conversations(dialect: str) -> list[dict[str, Any]]:
    """They grow by a question and its answer, and interleave."""
    return [
        line(prompt(dialect, ("clean", n), turns=turns), 40 * turns + 3 * n, session=f"s{n}")
        for n in range(6)
        for turns in range(1, 9)
    ]


def _questions(dialect: str) -> list[dict[str, Any]]:
    """Single questions that share instructions and tools."""
    return [
        line(_marked(prompt(dialect, ("asked", n))), 20 * n, session=f"q{n}") for n in range(30)
    ]


def _marked(made: Prompt) -> Prompt:
    made.marked = "system"
    return made


def _agents(dialect: str) -> list[dict[str, Any]]:
    """Several agents read the same files, each at another point of its work."""
    file = words("a file", 900)
    lines = []
    for n in range(4):
        made = prompt(dialect, ("agent", n))
        for step in range(6):
            made = made.copy()
            if step:
                said = Turn("assistant", words(("step", n, step), 20))
                said.call = ("search", f'{{"q": "{words((n, step), 3)}"}}')
                said.result = file if step == 2 + n % 2 else words(("result", n, step), 150)
                made.turns.append(said)
            lines.append(line(made, 30 * step + 5 * n, session=f"a{n}"))
    return lines


def _asked_again(dialect: str) -> list[dict[str, Any]]:
    """The same request again, and one with another last question.

    Anthropic writes an entry at the markers only: there the other question would miss it.
    """
    lines = []
    for n in range(3):
        made = prompt(dialect, ("again", n), turns=4)
        for again in range(3):
            changed = made.copy()
            if again == 2 and dialect != "messages":
                changed.turns[-1].text = words(("instead", n), 50)
            lines.append(line(changed, 25 * again + 7 * n, session=f"r{n}"))
    return lines


def _two_applications(dialect: str) -> list[dict[str, Any]]:
    """A session in which an assistant and its helper with other instructions take turns."""
    lines = []
    for n in range(12):
        made = _marked(prompt(dialect, ("main", n)))
        helper = _marked(prompt(dialect, ("helper", n)))
        helper.system = f"Give the conversation a title. {words('titles', 2400)}"
        helper.tools = [tool(name, "titles") for name in ("title", "list_titles", "rename")]
        lines += [line(made, 30 * n, session="both"), line(helper, 30 * n + 10, session="both")]
    return lines


def _templates(dialect: str) -> list[dict[str, Any]]:
    """Each question is put into the same frame, which ends with the same words."""
    lines = []
    for n in range(12):
        made = _marked(prompt(dialect, ("frame", n)))
        made.turns[-1].text += "\n\n" + words("the frame's end", 120)
        lines.append(line(made, 30 * n, session=f"t{n}"))
    return lines
