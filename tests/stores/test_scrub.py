"""Scrubbing removes entries that no read can return, and leaves all others."""

from typing import Any

from askonce.core.models import Entry, Key, Selection
from askonce.core.protocols import Store


def entry(number: int, tags: dict[str, int]) -> Entry:
    key = Key("team-a", "text", number.to_bytes(32, "big"))
    return Entry(key, b"yes", 200, (), 0.0, 3e9, 3e9, tags=tuple(tags.items()))


def test_what_was_invalidated_goes_and_what_is_valid_stays(store: Store, run: Any) -> None:
    async def story() -> tuple[int, list[Key]]:
        epochs = await store.epochs(["a", "b"])
        for number in range(30):
            tags = {name: epochs[name] for name in ("a", "b")[: number % 3]}
            await store.write(entry(number, tags))
        await store.epochs(["b"], bump=True)
        removed = await store.scrub()
        assert await store.scrub() == 0
        assert await store.write(entry(99, {"b": (await store.epochs(["b"]))["b"]}))
        return removed, [found.key async for found in store.scan(Selection())]

    removed, kept = run(story())

    assert removed in (0, 10)  # a store that has no such entries removes none
    expected = {entry(number, {}).key for number in range(30) if number % 3 != 2}
    assert set(kept) == expected | {entry(99, {}).key}
