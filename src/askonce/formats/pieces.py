"""Values that arrive in pieces: texts, and lists of objects whose members arrive in pieces.

A delta extends a string, and appends to a list. Objects in a list that say which one they are
(`index`) grow: a piece belongs to the object with its index, kind and ID. Lists of blocks without
an index (`thinking_blocks`) grow at their end.
"""

from typing import Any

_BLOCKS = frozenset({"content", "thinking_blocks", "reasoning_details", "thinking"})
"""Members that hold blocks: objects with a type, in which the next piece extends the last one."""

_IN_ONE_PIECE = frozenset({"type", "id", "index", "format", "name", "role", "signature"})
"""Members of an object in a list that are repeated with each piece, or come once."""

_GROWS = ("text", "thinking", "summary", "signature")
"""Members of a block without an index that show that it is a piece."""


class ContradictionError(Exception):
    """Pieces contradict each other."""


class GrowingText:
    """A string in pieces, joined once: `+=` on a member would copy all of it each time."""

    __slots__ = ("pieces",)

    def __init__(self, piece: str) -> None:
        self.pieces = [piece]


class Growing(dict[str, Any]):
    """An object whose members may be in pieces."""

    __slots__ = ()


class Items:
    """A list of objects, and each may arrive in pieces."""

    __slots__ = ("_by_index", "_deltas", "_items")

    def __init__(self) -> None:
        self._items: list[Growing] = []
        self._deltas = 0
        self._by_index: dict[int, list[Growing]] = {}

    def add(self, pieces: list[Any]) -> None:
        """Add one delta's list. Raises `ContradictionError` if it holds anything but objects."""
        self._deltas += 1
        last = self._items[-1] if self._items else None
        for piece in pieces:
            if type(piece) is not dict:
                raise ContradictionError
            index = piece.get("index")
            if type(index) is int:
                held = self._indexed(index, piece)
            else:
                held = last if last is not None and _continues(last, piece) else None
                # Objects of one delta stay apart: only the first can continue an earlier one.
                last = None
            if held is None:
                held = Growing()
                self._items.append(held)
                if type(index) is int:
                    self._by_index.setdefault(index, []).append(held)
            for name, value in piece.items():
                _merge(held, name, value)

    def whole(self) -> list[dict[str, Any]]:
        """Return the objects, joined: in the order of their indexes, if they came bit by bit."""
        items = self._items
        if self._deltas > 1 and all(type(item.get("index")) is int for item in items):
            items = sorted(items, key=lambda item: item["index"])
        return [joined(item) for item in items]

    def _indexed(self, index: int, piece: dict[str, Any]) -> Growing | None:
        for held in reversed(self._by_index.get(index, ())):
            if all(_same(held.get(name), piece.get(name)) for name in ("type", "id")):
                return held
        return None


def _same(one: Any, other: Any) -> bool:
    return not one or not other or one == other


def _continues(last: dict[str, Any], piece: dict[str, Any]) -> bool:
    """Whether a block without an index is a piece of the last one: a signature ends a block."""
    if last.get("type") != piece.get("type") or last.get("signature"):
        return False
    grows = any(piece.get(name) is not None for name in _GROWS)
    return grows and all(_same(last.get(name), piece.get(name)) for name in ("id", "format"))


def _merge(held: dict[str, Any], name: str, value: Any) -> None:
    if name in _IN_ONE_PIECE:
        if value or name not in held:
            held[name] = value
    elif type(value) is dict:
        into = held.get(name)
        if type(into) is not Growing:
            into = held[name] = Growing()
        for inner, each in value.items():
            _merge(into, inner, each)
    else:
        grow(held, name, value)


def grow(into: dict[str, Any], name: str, value: Any) -> None:
    """Extend a string or a list by a piece; replace any other value.

    Raises `ContradictionError` if a text became something else.
    """
    held = into.get(name)
    if value is None:
        into.setdefault(name, None)
    elif type(value) is str:
        if type(held) is GrowingText:
            held.pieces.append(value)
        elif held is None:
            into[name] = GrowingText(value)
        else:
            raise ContradictionError
    elif type(held) is GrowingText:
        raise ContradictionError
    elif type(value) is list:
        _grow_list(into, name, value)
    elif type(held) is Items:
        raise ContradictionError
    else:
        into[name] = value


def _grow_list(into: dict[str, Any], name: str, value: list[Any]) -> None:
    held = into.get(name)
    if type(held) is Items:
        held.add(value)
    elif not held and _is_growing(name, value):
        into[name] = items = Items()
        items.add(value)
    elif type(held) is list:
        held.extend(value)
    else:
        into[name] = value


def _is_growing(name: str, value: list[Any]) -> bool:
    """Whether the objects of a list may arrive in pieces."""
    if not value or not all(type(each) is dict for each in value):
        return False
    if all(type(each.get("index")) is int for each in value):
        return True
    return name in _BLOCKS and all(type(each.get("type")) is str for each in value)


def grow_content(into: dict[str, Any], value: Any) -> None:
    """Extend a message's content by a text or by a list of parts.

    Some providers send parts for what the model thinks and texts for what it says, in one stream.
    Raises `ContradictionError` for anything else.
    """
    held = into.get("content")
    if type(value) is str:
        if type(held) is Items:
            if value:
                held.add([{"type": "text", "text": value}])
            return
        if held == []:
            into["content"] = None
    elif type(value) is list:
        if not all(type(part) is dict and type(part.get("type")) is str for part in value):
            raise ContradictionError
        if type(held) is GrowingText:
            if not value:
                return
            said = "".join(held.pieces)
            into["content"] = items = Items()
            items.add([{"type": "text", "text": said}] if said else [])
    elif value is not None:
        raise ContradictionError
    grow(into, "content", value)


def joined(value: Any) -> Any:
    """Return a value with its pieces joined; what did not grow is shared, not copied."""
    if type(value) is GrowingText:
        return "".join(value.pieces)
    if type(value) is Items:
        return value.whole()
    if type(value) is Growing:
        return {name: joined(each) for name, each in value.items()}
    return value
