"""A question read once: its words, names, quantities and spans, kept for many comparisons."""

import hashlib
import itertools
from collections.abc import Sequence

import msgspec

from askonce.semantic.guards.grammar import asks_of, moods_of, negations_of
from askonce.semantic.guards.lexicon.english import ALIASES, COORDINATORS, NEGATIONS, STOP
from askonce.semantic.guards.lexicon.languages import LANGUAGES, TextLocale, locale_of
from askonce.semantic.guards.lexicon.ordinary import is_ordinary
from askonce.semantic.guards.lexicon.places import PEOPLES, PLACES
from askonce.semantic.guards.lexicon.stems import canonical, singular
from askonce.semantic.guards.lexicon.word_list import words_of
from askonce.semantic.guards.names import Name, labels_of, names_of
from askonce.semantic.guards.normalization import normalize
from askonce.semantic.guards.phrases import UNLISTED, Phrases, phrases_of
from askonce.semantic.guards.quantities import Quantity, measure
from askonce.semantic.guards.spans import TextSpans, spans_of
from askonce.semantic.guards.tokens import Token, tokenize


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A question as the guards compare it: small, immutable, made once by `prepare`.

    Words come in three forms: as written but folded (`surfaces`), without a plural (`bases`),
    and as the stem that stands for all forms and near synonyms (everything else).
    """

    digest: bytes  # of the whole text, folded; equal digests are the same question
    tail: bytes  # of what lies beyond the words that were read, empty if nothing

    flow: tuple[str, ...]  # every word but articles, and what coordinates
    statement: tuple[str, ...]  # flow without auxiliaries, "me" as "I": who does what to whom
    items: tuple[str, ...]  # flow without the words that only carry the grammar
    matter: tuple[str, ...]  # listed without coordinators
    content: tuple[str, ...]  # the words that carry meaning, in order
    bag: frozenset[str]  # content as a set
    surfaces: frozenset[str]
    bases: frozenset[str]
    known: frozenset[str]  # every form of every word, and of each two words joined
    initials: str  # of every word
    content_initials: str  # the same, with a blank for each little word

    names: tuple[Name, ...]
    labels: frozenset[str]  # single letters that distinguish a thing from its siblings
    places: frozenset[str]
    quantities: frozenset[Quantity]
    dates: frozenset[str]
    spans: TextSpans
    locale: TextLocale
    languages_named: frozenset[str]  # languages that it mentions

    phrases: Phrases
    asks: tuple[str, ...]
    moods: frozenset[str]
    negations: int
    negated: frozenset[str]
    is_english: bool

    @property
    def is_terse(self) -> bool:
        """Is it keywords, not a sentence: no question and hardly any little words?"""
        size = len(self.initials)
        return not self.asks and not self.phrases.roles and 4 * (size - len(self.content)) <= size

    @property
    def denies(self) -> bool:
        """Does it have any negation, even one that denies nothing?"""
        return not NEGATIONS.isdisjoint(self.surfaces)


def prepare(text: str) -> Text:
    """Read a question for the guards. The cost is bounded, except for a digest of all of it."""
    shown = normalize(text)
    reading = tokenize(shown)
    words = [token for token in reading.tokens if token.is_word]
    stems = [canonical(token.word) for token in words]
    head = shown[: reading.end]
    surfaces = frozenset(token.word for token in words)
    bases = frozenset(map(singular, surfaces))
    content = tuple(s for s, t in zip(stems, words, strict=True) if t.word not in STOP)
    flow = _flow(reading.tokens)
    items = tuple(w for w in flow if w not in UNLISTED)
    measures = measure(reading.tokens)
    locale = locale_of(head, [token.word for token in words])
    english = _is_english(words, locale)
    negations, negated = negations_of(words, stems)
    return Text(
        digest=_digest(text),
        tail=reading.tail,
        flow=flow,
        statement=_statement(flow),
        items=items,
        matter=_fronted([w for w in items if w not in _NO_MATTER]),
        content=content,
        bag=frozenset(content),
        surfaces=surfaces,
        bases=bases,
        known=surfaces.union(stems, bases, _joined(words)),
        initials="".join(token.word[0] for token in words),
        content_initials="".join(" " if token.word in STOP else token.word[0] for token in words),
        names=names_of(reading.tokens, measures.identifiers, locale, english),
        labels=labels_of(reading.tokens),
        places=_places(bases),
        quantities=measures.quantities,
        dates=measures.dates,
        spans=spans_of(head),
        locale=locale,
        languages_named=_languages_named(surfaces),
        phrases=phrases_of(words, stems, flow),
        asks=asks_of(reading.tokens),
        moods=moods_of(words),
        negations=negations,
        negated=negated,
        is_english=english,
    )


def _places(bases: frozenset[str]) -> frozenset[str]:
    return frozenset(PEOPLES.get(word, word) for word in bases if word in PLACES or word in PEOPLES)


def _languages_named(surfaces: frozenset[str]) -> frozenset[str]:
    return frozenset(LANGUAGES[word] for word in surfaces if word in LANGUAGES)


def _digest(text: str) -> bytes:
    # In a long prompt another gap makes another question: that costs a miss, not milliseconds.
    folded = text.casefold() if len(text) > _LONG else " ".join(text.casefold().split())
    return hashlib.blake2b(folded.encode(errors="surrogatepass"), digest_size=16).digest()


_LONG = 20_000


def _statement(flow: Sequence[str]) -> tuple[str, ...]:
    return _fronted([_CASES.get(word, word) for word in flow if word not in _AUXILIARIES])


def _fronted(words: list[str]) -> tuple[str, ...]:
    """Move a question word from the end to the front: "it failed, why" is "why it failed"."""
    if words and words[-1] in ("why", "where", "when"):
        words.insert(0, words.pop())
    return tuple(words)


def _flow(tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(
        canonical(t.word) if t.is_word else t.word
        for t in tokens
        if (t.is_word and t.word not in _ARTICLES) or t.word in COORDINATORS
    )


_ARTICLES = frozenset(("a", "an", "the"))
_NO_MATTER = COORDINATORS | words_of("""
    dont doesnt didnt wont isnt arent wasnt werent shouldnt couldnt wouldnt hasnt havent hadnt
    mustnt aint cant cannot has have had
    """)
_CASES = {"me": "i", "him": "he", "them": "they", "us": "we"}
_AUXILIARIES = words_of("is are was were been being am does did s t m re ve ll d my our")


def _joined(words: Sequence[Token]) -> list[str]:
    """Join each two neighbors, so that "note book" knows "notebook"."""
    joined = [one.word + two.word for one, two in itertools.pairwise(words)]
    return joined + [ALIASES[word] for word in joined if word in ALIASES]


def _is_english(words: Sequence[Token], locale: TextLocale) -> bool:
    if locale.script != "latin" or locale.language not in ("", "en"):
        return False
    if locale.language:
        return True
    plain = sum(t.word in STOP or is_ordinary(t.word) for t in words)
    return 4 * plain >= len(words)
