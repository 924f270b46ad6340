"""Seeds: logs with one known cause each, the same every time.

A seed changes one thing between requests that would otherwise share a prefix. It knows the cause,
the pointer and the byte of the block at which an analyzer has to find it.
"""

import base64
import json
import random
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from askonce.prompts.analyzer.causes import Cause
from tests.prompts.conversations import DIALECTS, PROVIDERS, Prompt, Turn, prompt, tool, words

START = 1_790_000_000.0


class Seed(NamedTuple):
    """A log, and what has to be found in it; `byte` is None where the place is a whole block."""

    name: str
    dialect: str
    lines: list[dict[str, Any]]
    cause: Cause | None
    pointer: str = ""
    byte: int | None = None

    @property
    def text(self) -> bytes:
        return b"".join(json.dumps(line).encode() + b"\n" for line in self.lines)


def line(
    made: Prompt, ts: float, *, session: str | None = None, provider: str = ""
) -> dict[str, Any]:
    made_line: dict[str, Any] = {
        "ts": START + ts,
        "provider": provider or PROVIDERS[made.dialect],
        "api": made.dialect,
        "request": made.body(),
    }
    return made_line if session is None else {**made_line, "session": session}


def pair(
    name: str, a: Prompt, b: Prompt, cause: Cause | None, pointer: str = "", byte: int | None = None
) -> Seed:
    """Two requests of one conversation, half a minute apart."""
    lines = [line(a, 0, session="s"), line(b, 30, session="s")]
    return Seed(name, a.dialect, lines, cause, pointer, byte)


# Slots in the instructions

_SLOTS: dict[str, tuple[Cause, str, str]] = {
    "iso date": (Cause.DATE, "Today is 2026-11-03.", "Today is 2026-11-04."),
    "clock": (Cause.DATE, "It is 10:32:07 now.", "It is 11:05:41 now."),
    "rfc date": (
        Cause.DATE,
        "Date: Tue, 03 Nov 2026 10:32:07 GMT",
        "Date: Wed, 04 Nov 2026 08:01:55 GMT",
    ),
    "epoch": (Cause.DATE, "time=1793701927", "time=1793788327"),
    "month": (Cause.DATE, "November 3, 2026", "December 9, 2026"),
    "uuid": (
        Cause.UUID,
        "id 5f0c1a52-98a3-4c1e-9a70-1f4b8d6a2c11",
        "id 0d9e7b34-12c4-4f6a-8b55-7c0e9f1a3d22",
    ),
    "ulid": (Cause.UUID, "id 01KBXWJ3M2Q4R5T6V7W8X9Y0ZA", "id 01KC0A9S8D7F6G5H4J3K2M1N0P"),
    "request id": (Cause.REQUEST_ID, "Request req_8fj39dk2ls", "Request req_q0w9e8r7t6"),
    "hex": (Cause.REQUEST_ID, "trace 8f3a91bc77d0e2", "trace 01bd77fa3c55ee"),
    "counter": (Cause.COUNTER, "This is call 17 of today.", "This is call 18 of today."),
    "budget": (Cause.COUNTER, "tokens_left=18234", "tokens_left=17001"),
    "email": (Cause.EMAIL, "User: ann@example.com", "User: robert@example.org"),
    "locale": (Cause.LOCALE, "locale: en-US", "locale: de-DE"),
    "language": (Cause.LOCALE, "Answer in English.", "Answer in German."),
    "name": (Cause.NAME, "You are helping Alice Miller.", "You are helping Robert Stone."),
    "spaces": (Cause.WHITESPACE, "Be kind.  Be brief.", "Be kind. Be brief."),
    "json": (
        Cause.KEY_ORDER,
        'Settings: {"tone": "kind", "limit": 3}',
        'Settings: {"limit": 3, "tone": "kind"}',
    ),
    "json spaces": (Cause.WHITESPACE, 'Settings: {"limit": 3}', 'Settings: {"limit":3}'),
    "accents": (Cause.UNICODE, "Caf\u00e9 rules apply.", "Cafe\u0301 rules apply."),
    "quotes": (Cause.UNICODE, 'Say "yes" to it.', "Say “yes” to it."),
    "line endings": (Cause.LINE_ENDINGS, "One.\r\nTwo.\r\n", "One.\nTwo.\n"),
}


def slots(dialect: str) -> Iterator[Seed]:
    for name, (cause, a, b) in _SLOTS.items():
        first, second = prompt(dialect, name), prompt(dialect, name)
        at = len("You answer for a support desk. ")
        first.system = first.system[:at] + a + " " + first.system[at:]
        second.system = second.system[:at] + b + " " + second.system[at:]
        byte = _difference(first.system, second.system)
        yield pair(name, first, second, cause, first.system_pointer, byte)
    for name, cause in (("documents", Cause.DOCUMENT_ORDER), ("examples", Cause.EXAMPLE_ORDER)):
        first, second = prompt(dialect, name), prompt(dialect, name)
        head = "Example" if name == "examples" else "Chapter"
        parts = [f"{head} {n}\n{words((name, n), 90)}" for n in range(5)]
        first.system = "\n\n".join([*parts, words("rest", 1500)])
        mixed = [parts[n] for n in (3, 0, 4, 1, 2)]
        second.system = "\n\n".join([*mixed, words("rest", 1500)])
        byte = _difference(first.system, second.system)
        yield pair(name, first, second, cause, first.system_pointer, byte)


def _difference(a: str, b: str) -> int:
    """The first byte in which two texts differ."""
    x, y = a.encode(), b.encode()
    return next(n for n in range(min(len(x), len(y))) if x[n] != y[n])


# Tools


def tools(dialect: str) -> Iterator[Seed]:
    where = "/tools/0/functionDeclarations" if dialect == "gemini" else "/tools"
    base = prompt(dialect, "tools")
    changed = base.copy()
    changed.tools.insert(2, tool("forecast", "new"))
    yield pair("tool added", base, changed, Cause.TOOLS_ADDED, f"{where}/2")
    changed = base.copy()
    del changed.tools[2]
    yield pair("tool removed", base, changed, Cause.TOOLS_REMOVED, f"{where}/2")
    changed = base.copy()
    changed.tools[1], changed.tools[3] = changed.tools[3], changed.tools[1]
    yield pair("tools reordered", base, changed, Cause.TOOLS_REORDERED, f"{where}/1")
    changed = base.copy()
    changed.tools[2]["description"] += " Use it rarely."
    yield pair("tool text", base, changed, Cause.TOOL_SCHEMA, f"{where}/2")
    changed = base.copy()
    schema = changed.tools[2]["schema"]
    changed.tools[2]["schema"] = dict(reversed(schema.items()))
    yield pair("tool key order", base, changed, Cause.TOOL_KEY_ORDER, f"{where}/2")


# Parameters

_FORMAT = {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}
_PARAMETERS: dict[str, list[tuple[Cause, str, Any, Any]]] = {
    "chat": [
        (Cause.MODEL, "model", "gpt-5.4", "gpt-5.2"),
        (Cause.SERVICE_TIER, "service_tier", "default", "flex"),
        (Cause.EFFORT, "reasoning_effort", "low", "high"),
        (Cause.VERBOSITY, "verbosity", "low", "high"),
        (Cause.FORMAT, "response_format", {"type": "text"}, {"type": "json_object"}),
        (Cause.PARAMETER, "parallel_tool_calls", True, False),
    ],
    "responses": [
        (Cause.MODEL, "model", "gpt-5.4", "gpt-5.2"),
        (Cause.SERVICE_TIER, "service_tier", "default", "flex"),
        (Cause.EFFORT, "reasoning/effort", {"effort": "low"}, {"effort": "high"}),
        (Cause.VERBOSITY, "text/verbosity", {"verbosity": "low"}, {"verbosity": "high"}),
        (Cause.FORMAT, "text/format", {"format": {"type": "text"}}, {"format": _FORMAT}),
        (Cause.PARAMETER, "parallel_tool_calls", True, False),
    ],
    "messages": [
        (Cause.MODEL, "model", "claude-sonnet-4-5", "claude-sonnet-4-6"),
        (Cause.PARAMETER, "speed", None, "fast"),
        (Cause.TOOL_CHOICE, "tool_choice", {"type": "auto"}, {"type": "any"}),
        (Cause.THINKING, "thinking", None, {"type": "enabled", "budget_tokens": 2000}),
        (Cause.EFFORT, "output_config/effort", {"effort": "low"}, {"effort": "high"}),
    ],
    "gemini": [
        (Cause.MODEL, "model", "gemini-2.5-pro", "gemini-2.5-flash"),
    ],
}


def parameters(dialect: str) -> Iterator[Seed]:
    for cause, path, a, b in _PARAMETERS[dialect]:
        first, second = prompt(dialect, path, turns=4), prompt(dialect, path, turns=5)
        name = path.partition("/")[0]
        for made, value in ((first, a), (second, b)):
            if value is not None:
                made.more[name] = value
        yield pair(f"parameter {path}", first, second, cause, f"/{path}")


# The history


def history(dialect: str) -> Iterator[Seed]:
    where = _Pointers(dialect)
    base, later = prompt(dialect, "talk", turns=8), prompt(dialect, "talk", turns=9)
    cut = later.copy()
    del cut.turns[:4]
    yield pair("truncated", base, cut, Cause.HISTORY_TRUNCATED, where(base, 0))
    kept = later.copy()
    del kept.turns[1:5]
    yield pair("truncated after the first", base, kept, Cause.HISTORY_TRUNCATED, where(base, 1))
    edited = later.copy()
    edited.turns[5].text = words("another answer altogether", 110)
    yield pair("edited", base, edited, Cause.HISTORY_EDITED, where(base, 5))
    gone = later.copy()
    del gone.turns[6:8]
    yield pair("removed", base, gone, Cause.HISTORY_EDITED, where(base, 6))
    short = later.copy()
    short.turns[:12] = [Turn("user", f"Summary of what was said: {words('summary', 60)}")]
    yield pair("compacted", base, short, Cause.COMPACTED, where(base, 0))
    for name, cause, a, b in (
        ("date in a message", Cause.DATE, "Now: 2026-11-03 10:00.", "Now: 2026-11-03 10:01."),
        ("message endings", Cause.LINE_ENDINGS, "a\r\nb", "a\nb"),
        ("message accents", Cause.UNICODE, "na\u00efve", "nai\u0308ve"),
    ):
        first, second = base.copy(), later.copy()
        first.turns[2].text = f"{a} {first.turns[2].text}"
        second.turns[2].text = f"{b} {second.turns[2].text}"
        byte = _difference(first.turns[2].text, second.turns[2].text)
        yield pair(name, first, second, cause, where(base, 2), byte)
    yield from _thoughts_and_calls(base, later, where)
    yield from _pictures(base, later, where)
    yield from _orders(dialect, where)


class _Pointers:
    """Where a turn's text is in the request."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect

    def __call__(self, made: Prompt, turn: int, block: int | None = None) -> str:
        first, name, within = {
            "chat": (1, "messages", "content"),
            "responses": (0, "input", "content"),
            "messages": (0, "messages", "content"),
            "gemini": (0, "contents", "parts"),
        }[self._dialect]
        pointer = f"/{name}/{first + turn}/{within}"
        if block is None and self._dialect in ("messages", "gemini"):
            block = 0
        return pointer if block is None else f"{pointer}/{block}"


def _thoughts_and_calls(base: Prompt, later: Prompt, where: _Pointers) -> Iterator[Seed]:
    dialect = base.dialect
    first, second = base.copy(), later.copy()
    for number in (1, 3):
        first.turns[number].thought = words(("thought", number), 60)
    pointer = "/input/1" if dialect == "responses" else where(base, 1, 0)
    yield pair("thinking stripped", first, second, Cause.THINKING_STRIPPED, pointer)
    for name, cause, a, b in (
        ("call key order", Cause.KEY_ORDER, '{"a": "1", "b": "2"}', '{"b": "2", "a": "1"}'),
        ("call spaces", Cause.WHITESPACE, '{"a": "1"}', '{"a":"1"}'),
    ):
        if name == "call spaces" and dialect in ("messages", "gemini"):
            continue  # arguments are no text there
        first, second = base.copy(), later.copy()
        for made, arguments in ((first, a), (second, b)):
            made.turns[3].call = ("track", arguments)
            made.turns[3].result = words("result", 80)
        pointer = {
            "chat": "/messages/4/tool_calls/0",
            "responses": "/input/4",
            "messages": "/messages/3/content/1",
            "gemini": "/contents/3/parts/1",
        }[dialect]
        yield pair(name, first, second, cause, pointer)


def _pictures(base: Prompt, later: Prompt, where: _Pointers) -> Iterator[Seed]:
    pixels = random.Random(7).randbytes(3000)
    first, second = base.copy(), later.copy()
    first.turns[2].image = base64.b64encode(b"\x89PNG\r\n" + pixels).decode()
    second.turns[2].image = base64.b64encode(b"\x89PNG\r\n" + pixels[::-1]).decode()
    yield pair("image encoded again", first, second, Cause.IMAGE_REENCODED, where(base, 2, 0))
    first, second = base.copy(), later.copy()
    first.turns[2].image_url = "https://example.com/a.png?sig=11111111"
    second.turns[2].image_url = "https://example.com/a.png?sig=22222222"
    yield pair("image address", first, second, Cause.IMAGE_CHANGED, where(base, 2, 0))


def _orders(dialect: str, where: _Pointers) -> Iterator[Seed]:
    first, second = prompt(dialect, "stamp"), prompt(dialect, "stamp")
    for one, day in ((first, 3), (second, 4)):
        one.turns[0].text = f"It is 2026-11-0{day}. {words('the frame', 400)}"
    lines = [line(first, 0, session="a"), line(second, 30, session="b")]
    pointer = where(first, 0)
    yield Seed("stamp before a frame", dialect, lines, Cause.DATE, pointer, len("It is 2026-11-0"))
    asked = [
        [Turn("user", words(("shot", n), 50)), Turn("assistant", words(("answer", n), 50))]
        for n in range(5)
    ]
    first, second = prompt(dialect, "shots"), prompt(dialect, "shots again")
    first.turns = [*chain(*asked), *first.turns]
    second.turns = [*chain(*(asked[n] for n in (2, 4, 0, 1, 3))), *second.turns]
    yield pair("shots in turns", first, second, Cause.EXAMPLE_ORDER, where(first, 0))
    texts = [f"Document {n}\n{words(('found', n), 120)}" for n in range(5)]
    first, second = prompt(dialect, "found"), prompt(dialect, "found")
    first.turns[0].text = "\n\n".join([*texts, "What is the fee?"])
    second.turns[0].text = "\n\n".join([texts[n] for n in (4, 0, 3, 2, 1)] + ["How long?"])
    byte = _difference(first.turns[0].text, second.turns[0].text)
    yield pair("documents in a turn", first, second, Cause.DOCUMENT_ORDER, where(first, 0), byte)


# Rules of the providers


def rules() -> Iterator[Seed]:
    yield from _breakpoints()
    for dialect in DIALECTS:
        first, second = prompt(dialect, "gap", turns=3), prompt(dialect, "gap", turns=4)
        lines = [line(first, 0, session="s"), line(second, 90_000, session="s")]
        if dialect != "gemini":  # the lifetime of its entries is not documented
            yield Seed("gap", dialect, lines, Cause.TTL_GAP)
        made = [prompt(dialect, ("cold", n)) for n in range(3)]
        for one in made:
            one.marked = "system"
        lines = [line(one, 0.1 * n, session=f"s{n}") for n, one in enumerate(made)]
        yield Seed("cold start", dialect, lines, Cause.COLD_START)
        small = [prompt(dialect, ("small", n), system=120) for n in range(4)]
        for one in small:
            one.tools = one.tools[:1]
        lines = [line(one, 30 * n, session=f"s{n}") for n, one in enumerate(small)]
        yield Seed("below the minimum", dialect, lines, Cause.BELOW_MINIMUM)
    turns = [prompt("responses", "turns", turns=n) for n in (1, 2, 3)]
    for one in turns:
        one.model = "gpt-6.2"
    lines = [line(one, 30 * n, session="s") for n, one in enumerate(turns)]
    yield Seed("instructions", "responses", lines, Cause.INSTRUCTIONS, "/instructions")


def _breakpoints() -> Iterator[Seed]:
    def alone(name: str, dialect: str, cause: Cause, change: Callable[[Prompt, int], None]) -> Seed:
        made = [prompt(dialect, (name, n)) for n in range(4)]
        for n, one in enumerate(made):
            change(one, n)
        lines = [line(one, 20 * n, session=f"s{n}") for n, one in enumerate(made)]
        return Seed(name, dialect, lines, cause)

    def marked(how: str) -> Callable[[Prompt, int], None]:
        return lambda one, n: setattr(one, "marked", how)

    def newest(one: Prompt, n: int) -> None:
        one.model = "gpt-5.6"

    def keyed(one: Prompt, n: int) -> None:
        one.model = "gpt-5.6"
        one.more["prompt_cache_key"] = f"key-{n}"

    yield alone("no marker", "messages", Cause.BREAKPOINT_MISSING, marked("none"))
    yield alone("marker at the end", "messages", Cause.BREAKPOINT_TOO_LATE, marked("last"))
    yield alone("no breakpoint", "chat", Cause.BREAKPOINT_MISSING, newest)
    yield alone("another key", "chat", Cause.CACHE_KEY, keyed)
    first, second = prompt("messages", "long", turns=2), prompt("messages", "long", turns=16)
    yield pair("look-back", first, second, Cause.LOOK_BACK)
    for dialect in ("chat", "responses", "messages"):
        first, second = prompt(dialect, "more"), prompt(dialect, "more")
        for one in (first, second):
            one.model = "" if dialect == "messages" else "gpt-5.6"
        first.turns[0].text = words("long", 200)
        second.turns[0].text = first.turns[0].text + " " + words("longer", 80)
        byte = len(first.turns[0].text)
        yield pair("appended", first, second, Cause.APPENDED, _Pointers(dialect)(first, 0), byte)


# All of them


def seeds() -> list[Seed]:
    """All logs with a cause."""
    found: list[Seed] = []
    for dialect in DIALECTS:
        for part in (slots, tools, parameters, history):
            found += part(dialect)
    return [*found, *rules()]
