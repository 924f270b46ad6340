"""The phrases of a text: roles, lists, things compared or counted."""

from collections.abc import Sequence

import msgspec

from askonce.semantic.guards.lexicon.english import COORDINATORS, ROLES, STOP
from askonce.semantic.guards.lexicon.word_list import words_of
from askonce.semantic.guards.tokens import Token

_DETERMINERS = words_of("""
    a an the my your his her their our its this that these those some any one
    """)
_COUNTING = words_of("""
    top best worst favorite favourite favorites greatest main most the your some all these any
    at
    """)
UNLISTED = words_of("""
    a an the is are was were be do does did i you we my your our some it what which how s t m d
    re ve ll can could will would should there this that so tell know please let want
    """)
_GOING_ON = words_of("what which when where how why who if")
BOTH = frozenset(("and", "&"))
OR = frozenset(("or", "vs", "versus"))
EITHER = frozenset(("and", "&", "or", "vs", "versus"))


def roles_of(words: Sequence[Token], stems: Sequence[str]) -> frozenset[tuple[str, str]]:
    """Pair each role word with the next word that carries meaning."""
    roles = set()
    role = ""
    for token, word in zip(words, stems, strict=True):
        if token.word in ROLES:
            role = token.word
        elif token.word not in STOP:
            if role:
                roles.add((role, word))
            role = ""
        elif token.word not in _DETERMINERS:
            role = ""
    return frozenset(roles)


def members_of(flow: Sequence[str], coordinators: frozenset[str]) -> frozenset[tuple[str, str]]:
    """Find neighbors in a list: the words on both sides of "and", "or", a comma."""
    found = set()
    for at in range(1, len(flow) - 1):
        if flow[at] in coordinators:
            ahead = (
                flow[at + 1]
                if flow[at + 1] not in UNLISTED or at + 2 >= len(flow)
                else flow[at + 2]
            )
            if flow[at - 1] not in STOP and ahead not in STOP and flow[at - 1] not in COORDINATORS:
                found.add((flow[at - 1], ahead))
    return frozenset(found)


def compared_in(words: Sequence[Token], stems: Sequence[str]) -> frozenset[str]:
    """Find the things in "the difference between ...": the words up to the end of the sentence."""
    for at, token in enumerate(words):
        if token.word == "between" and "difference" in stems[max(0, at - 3) : at]:
            found = []
            for stem, word in zip(stems[at + 1 : at + 16], words[at + 1 : at + 16], strict=True):
                if word.starts or word.word in ROLES or word.word in _GOING_ON:
                    break
                if word.word not in STOP:
                    found.append(stem)
            return frozenset(found)
    return frozenset()


def counted_in(words: Sequence[Token]) -> frozenset[str]:
    """Find numbers that only say how many examples are wanted: "top 10", "5 best", "2."."""
    found: set[str] = set()
    for at, token in enumerate(words):
        if not token.word[0].isdigit():
            continue
        before = words[at - 1].word if at else ""
        after = words[at + 1].word if at + 1 < len(words) else ""
        if token.starts or before in _COUNTING or after in _COUNTING:
            found.add(token.word)
    return frozenset(found)


class Phrases(msgspec.Struct, frozen=True, kw_only=True):
    """The phrases of one text."""

    roles: frozenset[tuple[str, str]]  # each role word with the word that it leads to
    members: frozenset[tuple[str, str]]  # neighbors in a list
    pairs: frozenset[tuple[str, str]]  # neighbors around "and"
    choices: frozenset[tuple[str, str]]  # neighbors around "or"
    compared: frozenset[str]  # what stands after "difference between"
    counted: frozenset[str]  # numbers that only say how many examples are wanted


def phrases_of(words: Sequence[Token], stems: Sequence[str], flow: Sequence[str]) -> Phrases:
    """Find all phrases of a text."""
    return Phrases(
        roles=roles_of(words, stems),
        members=members_of(flow, EITHER),
        pairs=members_of(flow, BOTH),
        choices=members_of(flow, OR),
        compared=compared_in(words, stems),
        counted=counted_in(words),
    )
