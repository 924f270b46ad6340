"""A divergence: where a prompt stops following an earlier one, why, and what that loses.

The classifier looks for causes in the order of `Cause`: parameters, tools, then what changed in the
instructions or the conversation.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from askonce.prompts.analyzer.causes import Cause
from askonce.prompts.analyzer.parameter_changes import changed_parameter
from askonce.prompts.analyzer.prompt_shapes import PromptShape, Side, recovered
from askonce.prompts.analyzer.slots import find_slot
from askonce.prompts.analyzer.text_diff import first_difference
from askonce.prompts.analyzer.tool_changes import changed_tools
from askonce.prompts.requests.segments import Kind

_THOUGHTS = {"thinking", "redacted_thinking"}
_MEDIA = {"image", "audio", "file", "document"}
_TEXTUAL = {
    Cause.DATE, Cause.UUID, Cause.REQUEST_ID, Cause.COUNTER, Cause.EMAIL, Cause.LOCALE, Cause.NAME,
    Cause.UNICODE, Cause.LINE_ENDINGS, Cause.WHITESPACE, Cause.KEY_ORDER, Cause.EXAMPLE_ORDER,
    Cause.DOCUMENT_ORDER,
}  # fmt: skip


class Divergence(NamedTuple):
    """The first difference of two prompts.

    `pointer` stands in the second request, or in the first where only that has the block; `a` and
    `b` are what stands there, from `at` characters on; `lost` are the second prompt's tokens that
    were in the first one too.
    """

    cause: Cause
    confidence: float
    pointer: str
    a: str
    b: str
    at: int
    lost: int


def diverge(a: Side, b: Side, block: int) -> Divergence:
    """Why the second prompt stops following the first one at this block."""
    places_a, places_b = a.shape.places, b.shape.places
    kinds = {places[block].kind for places in (places_a, places_b) if block < len(places)}
    if Kind.PARAMETERS in kinds and (found := changed_parameter(a, b)) is not None:
        cause, pointer, value_a, value_b = found
        if not pointer:
            pointer = _first_image(b.shape) or _first_image(a.shape)
        lost = recovered(a.shape, b.shape, block)
        return Divergence(cause, 1.0, pointer, value_a, value_b, 0, lost)
    if Kind.TOOL in kinds and (change := changed_tools(a, b)) is not None:
        at = first_difference(change.a, change.b)
        lost = recovered(a.shape, b.shape, block)
        return Divergence(change.cause, 1.0, change.pointer, change.a, change.b, at, lost)
    return _changed_blocks(a, b, block)


def _first_image(shape: PromptShape) -> str:
    return next((place.pointer for place in shape.places if place.form == "image"), "")


def _changed_blocks(a: Side, b: Side, block: int) -> Divergence:
    """What changed in the instructions or the conversation."""
    reordered = _reordered(a, b, block)
    if reordered is not None:
        return reordered
    shape_a, shape_b = a.shape, b.shape
    lost = recovered(shape_a, shape_b, block)
    removed = _skipped(shape_a.hashes[block:], shape_b.hashes[block:])
    inserted = _skipped(shape_b.hashes[block:], shape_a.hashes[block:])
    if removed and (not inserted or removed <= inserted):
        return _removed(a, b, block, removed, lost)
    if inserted:
        text = _text(b, block)
        before = _text(a, block) if block < len(shape_a) else ""
        pointer = shape_b.places[block].pointer
        cause = Cause.UNKNOWN if _is_instruction(b, block) else Cause.HISTORY_EDITED
        return Divergence(cause, 0.7, pointer, before, text, 0, lost)
    if _is_compacted(shape_a, shape_b, block):
        pointer, lost = shape_b.places[block].pointer, shape_b.total - shape_b.before(block)
        return Divergence(Cause.COMPACTED, 0.8, pointer, _text(a, block), _text(b, block), 0, lost)
    return _replaced(a, b, block, lost)


def _text(side: Side, block: int) -> str:
    if block >= len(side.shape):
        return ""
    return side.data(block).decode(errors="replace")


def _is_instruction(side: Side, block: int) -> bool:
    return side.shape.places[block].kind is not Kind.MESSAGE


# Blocks that came, went or moved


def _skipped(longer: Sequence[int], shorter: Sequence[int]) -> int:
    """How many blocks at the beginning of one list the other leaves out; 0 if that is not all."""
    if not shorter:
        return 0
    places = [n for n, one in enumerate(longer) if n and one == shorter[0]]
    for place in places:
        if longer[place + 1 : place + 2] == shorter[1:2] or len(shorter) == 1:
            return place
        if len(longer) == place + 1:  # the earlier prompt ends there, the later one goes on
            return place
    return 0


def _removed(a: Side, b: Side, block: int, count: int, lost: int) -> Divergence:
    places = a.shape.places[block : block + count]
    pointer = places[0].pointer
    before, after = _text(a, block), _text(b, block)
    cause, confidence = Cause.HISTORY_EDITED, 0.9
    if all(place.form in _THOUGHTS for place in places):
        cause, confidence = Cause.THINKING_STRIPPED, 1.0
    elif places[0].kind is not Kind.MESSAGE:
        cause, confidence = Cause.UNKNOWN, 0.5
    elif block == a.shape.head or _is_first_turn_kept(a, block):
        cause, confidence = Cause.HISTORY_TRUNCATED, 0.95
    return Divergence(cause, confidence, pointer, before, after, 0, lost)


def _is_first_turn_kept(side: Side, block: int) -> bool:
    """Some keep the first question and drop what follows it."""
    head = side.shape.head
    places = side.shape.places[head:block]
    return len(places) == 1 and places[0].role == "user"


def _reordered(a: Side, b: Side, block: int) -> Divergence | None:
    """The same blocks in another order: examples, if there are answers among them."""
    hashes_a, hashes_b = a.shape.hashes[block:], b.shape.hashes[block:]
    shared = Counter(hashes_a) & Counter(hashes_b)
    if shared.total() < 3:
        return None
    order_a = [one for one in hashes_a if one in shared]
    order_b = [n for n, one in enumerate(hashes_b) if one in shared]
    same = [hashes_b[n] for n in order_b]
    if order_a[: len(same)] == same[: len(order_a)] or hashes_a[0] not in shared:
        return None
    if not set(shared) >= {hashes_a[0], hashes_b[0]}:
        return None
    lost = recovered(a.shape, b.shape, block)
    roles = {b.shape.places[block + n].role for n in order_b}
    examples = bool(roles & {"assistant", "model"})
    cause = Cause.EXAMPLE_ORDER if examples else Cause.DOCUMENT_ORDER
    text_a, text_b = _text(a, block), _text(b, block)
    pointer = b.shape.places[block].pointer
    return Divergence(cause, 0.9, pointer, text_a, text_b, first_difference(text_a, text_b), lost)


def _is_compacted(a: PromptShape, b: PromptShape, block: int) -> bool:
    """Did several turns give way to a summary of them?"""
    if block >= len(b) or b.places[block].kind is not Kind.MESSAGE:
        return False
    gone = sum((Counter(a.hashes[block:]) - Counter(b.hashes[block:])).values())
    before, after = a.total - a.before(block), b.total - b.before(block)
    return gone >= 3 and after < 0.6 * before and b.hashes[block] not in a.hashes


# A block in the place of another


def _replaced(a: Side, b: Side, block: int, lost: int) -> Divergence:
    text_a, text_b = _text(a, block), _text(b, block)
    both = block < len(a.shape) and block < len(b.shape)
    pointer = (b if block < len(b.shape) else a).shape.places[block].pointer
    if not both:
        return Divergence(Cause.UNKNOWN, 0.3, pointer, text_a, text_b, 0, lost)
    place_a, place_b = a.shape.places[block], b.shape.places[block]
    if place_a.form in _MEDIA and place_a.form == place_b.form:
        return _changed_media(text_a, text_b, pointer, lost)
    message = place_b.kind is Kind.MESSAGE
    slot = find_slot(text_a, text_b, conversation=message)
    whole = len(text_b) or 1
    lost += b.shape.tokens_of(block) * slot.recovered // whole
    cause, confidence = slot.cause, slot.confidence
    ends_there = block == len(a.shape) - 1
    if message and ends_there and text_a and text_b.startswith(text_a):
        own = b.shape.tokens_of(block) * len(text_a) // whole
        return Divergence(Cause.APPENDED, 0.95, pointer, text_a, text_b, len(text_a), own)
    if message and cause not in _TEXTUAL and block < len(a.shape) - 1:
        cause, confidence = Cause.HISTORY_EDITED, 0.9
    return Divergence(cause, confidence, pointer, text_a, text_b, slot.start, lost)


def _changed_media(a: str, b: str, pointer: str, lost: int) -> Divergence:
    """Other bytes in the same place, or another address, size or detail."""
    at = first_difference(a, b)
    within = max(len(a), len(b)) > 200 and "http" not in a[max(0, at - 200) : at + 40]
    same_end = a[at:][-20:] == b[at:][-20:]
    if within and (len(a) > at + 40 or len(b) > at + 40 or same_end):
        return Divergence(Cause.IMAGE_REENCODED, 0.9, pointer, a, b, at, lost)
    return Divergence(Cause.IMAGE_CHANGED, 0.9, pointer, a, b, at, lost)
