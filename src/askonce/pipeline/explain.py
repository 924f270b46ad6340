"""The explanation of why two request bodies do or do not share a key.

The format reads both bodies, and their questions are compared subtree by subtree, as the key does.
Members that differ in the bodies but not in the key are listed as ignored; each of them is tested
by giving the first body the second one's value.
"""

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from askonce.core.errors import CallMalformed
from askonce.core.keys import CACHE_MARKERS, Media, Opaque, canonical
from askonce.core.models import Reason
from askonce.core.origins import OWN, OriginTraits
from askonce.core.wire_format import ParsedQuestion, WireFormat
from askonce.formats.end_user import as_seen_at

ABSENT = "(absent)"
SHORTENED = 60

_ONLY_ANTHROPIC = frozenset(
    {"system", "stop_sequences", "top_k", "thinking", "mcp_servers", "output_config"}
)
_RANDOM_IDS = ("/id", "/tool_call_id", "/tool_use_id")

_absent: Any = object()

Read = Callable[[Any], ParsedQuestion]


class Difference(msgspec.Struct, frozen=True):
    """One place where two bodies differ: a JSON pointer and both values, shortened.

    Where the order of an object's members makes the difference, the values list their names.
    """

    pointer: str
    a: str
    b: str


class Explanation(msgspec.Struct, frozen=True):
    """Whether two bodies share a key, and why.

    `matter` points into the question as the format reads it, `ignored` into the bodies.
    `bypass_a` and `bypass_b` give the reason why the cache would not look a body up. `order_only`
    says that nothing but the order of members inside a caller's own JSON, such as a schema, makes
    two keys.
    """

    same: bool
    format: str
    matter: list[Difference]
    ignored: list[Difference]
    bypass_a: Reason | None
    bypass_b: Reason | None
    order_only: bool = False


class _MemberOrder:
    """The names of an object's members in their order, where the order makes the difference."""

    def __init__(self, names: list[str]) -> None:
        self.text = ", ".join(names)


def explain(
    format_: WireFormat, a: Any, b: Any, *, samples: int = 0, origin: OriginTraits = OWN
) -> Explanation:
    """Compare two parsed bodies of one format.

    Args:
        format_: The format of both bodies.
        a: The first body.
        b: The second body.
        samples: The answers kept for a question with a temperature above 0 (`cache.sampling`);
            0 bypasses such calls.
        origin: What the provider's address means. Default: it is the provider's own.

    Raises:
        CallMalformed: A body is not of this format.
    """
    read = functools.partial(_read, format_, origin)
    question_a, question_b = read(a), read(b)
    matter = list(_differences(question_a.asked, question_b.asked, ""))
    return Explanation(
        same=canonical(question_a.asked) == canonical(question_b.asked),
        format=format_.name,
        matter=[_shown(pointer, x, y) for pointer, x, y in matter],
        ignored=_ignored(read, a, b),
        bypass_a=_bypass(question_a, samples),
        bypass_b=_bypass(question_b, samples),
        order_only=bool(matter) and all(type(x) is _MemberOrder for _, x, _ in matter),
    )


def guess_format(body: Any) -> str | None:
    """Return the name of the format that a body looks like; None if it looks like none."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        return None
    model = body.get("model")
    tools = body.get("tools")
    if (
        not _ONLY_ANTHROPIC.isdisjoint(body)
        or (isinstance(model, str) and model.startswith("claude"))
        or (isinstance(tools, list) and any(isinstance(t, dict) and "name" in t for t in tools))
    ):
        return "anthropic_messages"
    return "openai_chat"


def _read(format_: WireFormat, origin: OriginTraits, body: Any) -> ParsedQuestion:
    """Read a body as the provider at this address sees it."""
    return as_seen_at(origin, format_.read(body), body, "")


def _bypass(question: ParsedQuestion, samples: int) -> Reason | None:
    if question.bypass is None and question.sampled and not samples:
        return Reason.SAMPLING
    return question.bypass


_Found = tuple[str, Any, Any]


def _differences(a: Any, b: Any, pointer: str) -> Iterator[_Found]:
    """Yield the smallest subtrees of two questions whose canonical forms differ."""
    if type(a) is Opaque and type(b) is Opaque:
        yield from _raw_differences(a.value, b.value, pointer, in_order=True)
    elif type(a) is dict and type(b) is dict:
        for name in _names(a, b):
            if name not in CACHE_MARKERS:
                # Absent and null are the same to the key, so null stands for both.
                yield from _differences(a.get(name), b.get(name), _member(pointer, name))
    elif type(a) is list and type(b) is list:
        for index in range(max(len(a), len(b))):
            x = a[index] if index < len(a) else _absent
            y = b[index] if index < len(b) else _absent
            yield from _differences(x, y, f"{pointer}/{index}")
    elif a is _absent or b is _absent or canonical(a) != canonical(b):
        yield pointer, a, b


def _raw_differences(a: Any, b: Any, pointer: str, *, in_order: bool = False) -> Iterator[_Found]:
    """Yield the smallest subtrees in which two JSON texts differ, nulls included.

    With `in_order`, the order of the members of an object is a difference too.
    """
    if type(a) is dict and type(b) is dict:
        for name in _names(a, b):
            x, y = a.get(name, _absent), b.get(name, _absent)
            yield from _raw_differences(x, y, _member(pointer, name), in_order=in_order)
        shared_a, shared_b = [name for name in a if name in b], [name for name in b if name in a]
        if in_order and shared_a != shared_b:
            yield pointer, _MemberOrder(shared_a), _MemberOrder(shared_b)
    elif type(a) is list and type(b) is list:
        for index in range(max(len(a), len(b))):
            x = a[index] if index < len(a) else _absent
            y = b[index] if index < len(b) else _absent
            yield from _raw_differences(x, y, f"{pointer}/{index}", in_order=in_order)
    elif a is _absent or b is _absent or canonical(Opaque(a)) != canonical(Opaque(b)):
        yield pointer, a, b


def _ignored(read: Read, a: Any, b: Any) -> list[Difference]:
    """Find the places where the bodies differ and the key does not; each of them is tried."""
    found = list(_raw_differences(a, b, ""))
    ignored = {item[0] for item in found if _is_ignored(read, a, [item])}
    # Random ids of tool calls matter one by one (a result must find its call), not together.
    ids = [item for item in found if item[0].endswith(_RANDOM_IDS) and item[0] not in ignored]
    if ids and _is_ignored(read, a, ids):
        ignored.update(item[0] for item in ids)
    return [_shown(*item) for item in found if item[0] in ignored]


def _is_ignored(read: Read, body: Any, changes: list[_Found]) -> bool:
    changed = copy.deepcopy(body)
    for pointer, _, value in changes:
        changed = _with(changed, pointer, value)
    try:
        return canonical(read(changed).asked) == canonical(read(body).asked)
    except CallMalformed:
        return False


def _with(body: Any, pointer: str, value: Any) -> Any:
    """Replace the value at a pointer, or remove it."""
    if not pointer:
        return value
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]
    place = body
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if isinstance(place, list):
        index = int(last)
        place[index : index + 1] = [] if value is _absent else [value]
    elif value is _absent:
        place.pop(last, None)
    else:
        place[last] = value
    return body


def _names(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    return [*a, *(name for name in b if name not in a)]


def _member(pointer: str, name: str) -> str:
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"


def _shown(pointer: str, a: Any, b: Any) -> Difference:
    """Shorten both values around the place where they part."""
    x, y = _text(a), _text(b)
    start = 0
    if max(len(x), len(y)) > SHORTENED:
        parting = next((i for i, (c, d) in enumerate(zip(x, y, strict=False)) if c != d), 0)
        start = max(0, parting - SHORTENED // 3)
    return Difference(pointer, _cut(x, start), _cut(y, start))


def _cut(text: str, start: int) -> str:
    cut = text[start : start + SHORTENED]
    before = "…" if start and cut else ""
    return f"{before}{cut}{'…' if start + SHORTENED < len(text) else ''}" or "…"


def _text(value: Any) -> str:
    if value is _absent or value is None:
        return ABSENT if value is _absent else "null"
    if type(value) is Media:
        return value.data
    if type(value) is _MemberOrder:
        return value.text
    return canonical(value).decode()
