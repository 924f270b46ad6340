"""The trie and its texts, and where two texts part."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.prompts.analyzer.reorder_buffer import ReorderBuffer
from askonce.prompts.analyzer.text_diff import first_difference, shared_end
from askonce.prompts.analyzer.trie import BLOCK, DeltaTexts, PrefixTrie


def test_a_prompt_finds_whom_it_shares_most_with() -> None:
    chance, trie = random.Random(1), PrefixTrie()
    head, tail = chance.randbytes(10 * BLOCK), chance.randbytes(10 * BLOCK)
    assert trie.add("a", head, 0) is None
    assert trie.add("a", head[: 4 * BLOCK] + tail, 1) == (0, 4)
    assert trie.add("a", head[: 6 * BLOCK] + b"x" * BLOCK, 2) == (0, 6)
    assert trie.add("a", head[: 4 * BLOCK] + tail + b"y" * BLOCK, 3) == (1, 14)
    assert trie.add("a", head[: 5 * BLOCK], 4) == (2, 5)  # the latest of those as near
    assert trie.add("b", head, 5) is None  # another scope shares nothing
    assert trie.add("a", head[: BLOCK - 1], 6) is None


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_where_texts_part(same: bytes, a: bytes, b: bytes) -> None:
    a, b = same + a, same + b
    found = first_difference(a, b, len(same))
    assert a[:found] == b[:found]
    assert found == min(len(a), len(b)) or a[found] != b[found]
    end = shared_end(a, b, found)
    assert a[len(a) - end :] == b[len(b) - end :]
    assert end <= min(len(a), len(b)) - found


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3000), st.binary(max_size=2500))))
def test_texts_come_back_whole(steps: list[tuple[int, int, bytes]]) -> None:
    texts, plain = DeltaTexts(), [b""]
    texts.add(b"")
    for parent, shared, tail in steps:
        parent %= len(plain)
        shared = min(shared, len(plain[parent]))
        plain.append(plain[parent][:shared] + tail)
        texts.add(plain[-1], parent, shared)
    assert [texts[number] for number in range(len(plain))] == plain


class Item:
    def __init__(self, number: int, ts: float, duration: float | None = None) -> None:
        self.number = number
        self.ts = ts
        self.duration = duration


def test_lines_come_in_the_order_of_time() -> None:
    order: ReorderBuffer[Item] = ReorderBuffer(most=3)
    given_ts = [5, 3, 4, 1, 2, 9, 8, 7]
    came = [
        one.ts for number, ts in enumerate(given_ts) for one in order.push(Item(number, ts), 10)
    ]
    came += [one.ts for one in order.drain()]
    assert sorted(came) == sorted(given_ts)
    assert came == [1, 2, 3, 4, 5, 7, 8, 9]


def test_what_waits_is_bounded_in_bytes() -> None:
    order: ReorderBuffer[Item] = ReorderBuffer(most=1000, most_bytes=100)
    assert [one.ts for n in range(5) for one in order.push(Item(n, n), 40)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("items", "back"),
    [
        ([Item(1, 10), Item(2, 20)], 0.0),
        ([Item(1, 10), Item(2, 4)], 6.0),
        ([Item(1, 10, 2.0), Item(2, 4, 9.0)], 0.0),  # logged when it ended
        ([Item(1, 10, 2.0), Item(2, 4, 3.0)], 5.0),
    ],
)
def test_a_clock_that_goes_back_is_noticed(items: list[Item], back: float) -> None:
    order: ReorderBuffer[Item] = ReorderBuffer()
    assert [order.seconds_behind(item) for item in items][-1] == back
