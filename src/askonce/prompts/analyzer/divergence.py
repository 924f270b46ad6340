"""A divergence: where a prompt stops following an earlier one, why, and what that loses.

Causes are searched in the order of `Cause`: parameters, tools, then changes of the instructions or
of the conversation.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from askonce.prompts.analyzer.causes import Cause
from askonce.prompts.analyzer.fingerprints import ComparedPrompt, PromptFingerprint, shared_after
from askonce.prompts.analyzer.request_changes import changed_parameter, changed_tools
from askonce.prompts.analyzer.text_changes import find_change
from askonce.prompts.analyzer.text_diff import first_difference
from askonce.prompts.requests.segments import SegmentKind

_THOUGHTS = {"thinking", "redacted_thinking"}
_MEDIA = {"image", "audio", "file", "document"}
_TEXTUAL = {
    Cause.DATE, Cause.UUID, Cause.REQUEST_ID, Cause.COUNTER, Cause.EMAIL, Cause.LOCALE, Cause.NAME,
    Cause.UNICODE, Cause.LINE_ENDINGS, Cause.WHITESPACE, Cause.KEY_ORDER, Cause.EXAMPLE_ORDER,
    Cause.DOCUMENT_ORDER,
}  # fmt: skip


class Divergence(NamedTuple):
    """The first difference of two prompts.

    pointer  its block in the second request, or in the first if only that has the block
    a, b     the texts of the block, which differ from `at` characters on
    lost     the tokens of the second prompt that the first one had too
    """

    cause: Cause
    confidence: float
    pointer: str
    a: str
    b: str
    at: int
    lost: int


def find_divergence(a: ComparedPrompt, b: ComparedPrompt, block: int) -> Divergence:
    """Find why the second prompt stops following the first one at this block."""
    places_a, places_b = a.prompt.places, b.prompt.places
    kinds = {places[block].kind for places in (places_a, places_b) if block < len(places)}
    if SegmentKind.PARAMETERS in kinds and (found := changed_parameter(a, b)) is not None:
        cause, pointer, value_a, value_b = found
        if not pointer:
            pointer = _first_image(b.prompt) or _first_image(a.prompt)
        lost = shared_after(a.prompt, b.prompt, block)
        return Divergence(cause, 1.0, pointer, value_a, value_b, 0, lost)
    if SegmentKind.TOOL in kinds and (change := changed_tools(a, b)) is not None:
        at = first_difference(change.a, change.b)
        lost = shared_after(a.prompt, b.prompt, block)
        return Divergence(change.cause, 1.0, change.pointer, change.a, change.b, at, lost)
    return _changed_blocks(a, b, block)


def _first_image(prompt: PromptFingerprint) -> str:
    return next((place.pointer for place in prompt.places if place.form == "image"), "")


def _changed_blocks(a: ComparedPrompt, b: ComparedPrompt, block: int) -> Divergence:
    """Find the change of the instructions or of the conversation."""
    reordered = _reordered(a, b, block)
    if reordered is not None:
        return reordered
    prompt_a, prompt_b = a.prompt, b.prompt
    lost = shared_after(prompt_a, prompt_b, block)
    removed = _skipped(prompt_a.hashes[block:], prompt_b.hashes[block:])
    inserted = _skipped(prompt_b.hashes[block:], prompt_a.hashes[block:])
    if removed and (not inserted or removed <= inserted):
        return _removed(a, b, block, removed, lost)
    if inserted:
        text = _text(b, block)
        before = _text(a, block) if block < len(prompt_a) else ""
        pointer = prompt_b.places[block].pointer
        cause = Cause.UNKNOWN if _is_instruction(b, block) else Cause.HISTORY_EDITED
        return Divergence(cause, 0.7, pointer, before, text, 0, lost)
    if _is_compacted(prompt_a, prompt_b, block):
        pointer, lost = prompt_b.places[block].pointer, prompt_b.total - prompt_b.before(block)
        return Divergence(Cause.COMPACTED, 0.8, pointer, _text(a, block), _text(b, block), 0, lost)
    return _replaced(a, b, block, lost)


def _text(compared: ComparedPrompt, block: int) -> str:
    if block >= len(compared.prompt):
        return ""
    return compared.data(block).decode(errors="replace")


def _is_instruction(compared: ComparedPrompt, block: int) -> bool:
    return compared.prompt.places[block].kind is not SegmentKind.MESSAGE


# Blocks that came, went or moved


def _skipped(longer: Sequence[int], shorter: Sequence[int]) -> int:
    """Count the blocks at the start of one list that the other omits; 0 if more differs."""
    if not shorter:
        return 0
    places = [n for n, one in enumerate(longer) if n and one == shorter[0]]
    for place in places:
        if longer[place + 1 : place + 2] == shorter[1:2] or len(shorter) == 1:
            return place
        if len(longer) == place + 1:  # the earlier prompt ends there, the later one continues
            return place
    return 0


def _removed(a: ComparedPrompt, b: ComparedPrompt, block: int, count: int, lost: int) -> Divergence:
    places = a.prompt.places[block : block + count]
    pointer = places[0].pointer
    before, after = _text(a, block), _text(b, block)
    cause, confidence = Cause.HISTORY_EDITED, 0.9
    if all(place.form in _THOUGHTS for place in places):
        cause, confidence = Cause.THINKING_STRIPPED, 1.0
    elif places[0].kind is not SegmentKind.MESSAGE:
        cause, confidence = Cause.UNKNOWN, 0.5
    elif block == a.prompt.head or _is_first_turn_kept(a, block):
        cause, confidence = Cause.HISTORY_TRUNCATED, 0.95
    return Divergence(cause, confidence, pointer, before, after, 0, lost)


def _is_first_turn_kept(compared: ComparedPrompt, block: int) -> bool:
    """Return whether only the first question was kept before the removed turns."""
    head = compared.prompt.head
    places = compared.prompt.places[head:block]
    return len(places) == 1 and places[0].role == "user"


def _reordered(a: ComparedPrompt, b: ComparedPrompt, block: int) -> Divergence | None:
    """Find the same blocks in another order: examples, if there are answers among them."""
    hashes_a, hashes_b = a.prompt.hashes[block:], b.prompt.hashes[block:]
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
    lost = shared_after(a.prompt, b.prompt, block)
    roles = {b.prompt.places[block + n].role for n in order_b}
    examples = bool(roles & {"assistant", "model"})
    cause = Cause.EXAMPLE_ORDER if examples else Cause.DOCUMENT_ORDER
    text_a, text_b = _text(a, block), _text(b, block)
    pointer = b.prompt.places[block].pointer
    return Divergence(cause, 0.9, pointer, text_a, text_b, first_difference(text_a, text_b), lost)


def _is_compacted(a: PromptFingerprint, b: PromptFingerprint, block: int) -> bool:
    """Return whether a summary replaced several turns."""
    if block >= len(b) or b.places[block].kind is not SegmentKind.MESSAGE:
        return False
    gone = sum((Counter(a.hashes[block:]) - Counter(b.hashes[block:])).values())
    before, after = a.total - a.before(block), b.total - b.before(block)
    return gone >= 3 and after < 0.6 * before and b.hashes[block] not in a.hashes


# A block in the place of another


def _replaced(a: ComparedPrompt, b: ComparedPrompt, block: int, lost: int) -> Divergence:
    text_a, text_b = _text(a, block), _text(b, block)
    both = block < len(a.prompt) and block < len(b.prompt)
    pointer = (b if block < len(b.prompt) else a).prompt.places[block].pointer
    if not both:
        return Divergence(Cause.UNKNOWN, 0.3, pointer, text_a, text_b, 0, lost)
    place_a, place_b = a.prompt.places[block], b.prompt.places[block]
    if place_a.form in _MEDIA and place_a.form == place_b.form:
        return _changed_media(text_a, text_b, pointer, lost)
    message = place_b.kind is SegmentKind.MESSAGE
    change = find_change(text_a, text_b, conversation=message)
    whole = len(text_b) or 1
    lost += b.prompt.tokens_of(block) * change.recovered // whole
    cause, confidence = change.cause, change.confidence
    ends_there = block == len(a.prompt) - 1
    if message and ends_there and text_a and text_b.startswith(text_a):
        own = b.prompt.tokens_of(block) * len(text_a) // whole
        return Divergence(Cause.APPENDED, 0.95, pointer, text_a, text_b, len(text_a), own)
    if message and cause not in _TEXTUAL and block < len(a.prompt) - 1:
        cause, confidence = Cause.HISTORY_EDITED, 0.9
    return Divergence(cause, confidence, pointer, text_a, text_b, change.start, lost)


def _changed_media(a: str, b: str, pointer: str, lost: int) -> Divergence:
    """Distinguish other bytes of an image from another address, size or detail."""
    at = first_difference(a, b)
    within = max(len(a), len(b)) > 200 and "http" not in a[max(0, at - 200) : at + 40]
    same_end = a[at:][-20:] == b[at:][-20:]
    if within and (len(a) > at + 40 or len(b) > at + 40 or same_end):
        return Divergence(Cause.IMAGE_REENCODED, 0.9, pointer, a, b, at, lost)
    return Divergence(Cause.IMAGE_CHANGED, 0.9, pointer, a, b, at, lost)
