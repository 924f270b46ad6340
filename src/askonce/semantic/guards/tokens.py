"""A text cut into words, each with its capitals and its place in the sentence."""

import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_WORDS = 400
"""How many words are compared one by one; the rest must be equal, see `TokenReading.tail`."""
MAX_LETTERS = 48
MAX_RUN = 2_000

_TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)*(?:[^\W\d_]+\d*[^\W_]*)?%?"  # 1,000  3.5  8am  15k  3d  50%
    r"|[^\W\d_](?:\.[^\W\d_]\b)+\.?"  # U.S.  B.C.
    r"|\w+(?:['\u2019]\w+)*(?:\+\+|\#(?!\w))?"  # words, don't, C++, C#, gt_s7582
    r"|[$\u20ac\u00a3\u00a5\u20b9\u00b0%]"
    r"|(?<!\S)[-\u2212](?=\d)"  # the sign of a number
    r"|[.?!:;()\u3002\uff1f\uff01\u061f\u0964\n]|[,/&\u3001\uff0c]"
)
_JOINED = re.compile(r"(?<=\w)\.(?=\w)")
_GAPS = re.compile(r"\W+")
_ENDINGS = ("'s", "'re", "'ve", "'ll", "'d", "'m")
ENDS = frozenset(".?!:;()\u3002\uff1f\uff01\u061f\u0964\n")


class Token(NamedTuple):
    """One word or sign: `word` folded, `surface` as written, `starts` a sentence or not."""

    word: str
    surface: str
    starts: bool
    is_word: bool


class TokenReading(NamedTuple):
    """The tokens of a text's first words, where they end, and a digest of all after them."""

    tokens: tuple[Token, ...]
    end: int
    tail: bytes


def tokenize(text: str) -> TokenReading:
    """Cut a text, in time linear in its length."""
    tokens: list[Token] = []
    words = 0
    starts = True
    for match in _TOKEN.finditer(text):
        surface = match.group()
        if not _has_word(surface):
            tokens.append(Token(surface, surface, False, False))
            starts = starts or surface in ENDS
        else:
            for part in _parts(surface):
                tokens.append(Token(_fold(part) or part, part[:MAX_LETTERS], starts, True))
                starts = False
                words += 1
        end = min(match.end(), match.start() + MAX_RUN)
        if words >= MAX_WORDS or len(tokens) >= 4 * MAX_WORDS or end < match.end():
            return TokenReading(tuple(tokens), end, _digest(text[end:]))
    return TokenReading(tuple(tokens), len(text), b"")


def _has_word(surface: str) -> bool:
    return surface[0].isalnum() or any(letter.isalnum() for letter in surface[:MAX_LETTERS])


def _fold(word: str) -> str:
    folded = word.casefold().replace("\u2019", "'")
    for ending in _ENDINGS:
        if folded.endswith(ending):
            folded = folded[: -len(ending)]
            break
    if len(folded) > MAX_LETTERS:
        folded = (
            folded[:16] + hashlib.sha256(folded.encode(errors="surrogatepass")).hexdigest()[:16]
        )
    return folded.replace("'", "").replace(".", "") if not folded[:1].isdigit() else folded


def _parts(surface: str) -> Iterator[str]:
    """Split a run of several words that no blank separates: Han beside digits, kana, Latin."""
    if surface.isascii() or not any("\u2e80" <= letter <= "\u9fff" for letter in surface[:200]):
        yield surface
        return
    for match in _RUN.finditer(surface[:MAX_RUN]):
        if _has_word(match.group()):
            yield match.group()


_RUN = re.compile(
    r"[\u3040-\u309f]+|[\u30a0-\u30ff]+|[\u2e80-\u303f\u3400-\u9fff]+|\d+|[^\u2e80-\u9fff\d]+"
)


_LONG = 20_000  # beyond it a gap counts too: a miss costs less than many milliseconds


def _digest(rest: str) -> bytes:
    words = rest.casefold()
    if len(words) <= _LONG:
        words = _GAPS.sub(" ", words).strip()
    return (
        hashlib.blake2b(words.encode(errors="surrogatepass"), digest_size=16).digest()
        if words
        else b""
    )
