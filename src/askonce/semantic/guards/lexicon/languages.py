"""The script and the language of a text, where a few words decide them."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

_SCRIPTS = (
    (0x0370, 0x03FF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0530, 0x058F, "armenian"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x077F, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0980, 0x09FF, "bengali"),
    (0x0A00, 0x0A7F, "gurmukhi"),
    (0x0A80, 0x0AFF, "gujarati"),
    (0x0B80, 0x0BFF, "tamil"),
    (0x0C00, 0x0C7F, "telugu"),
    (0x0C80, 0x0CFF, "kannada"),
    (0x0D00, 0x0D7F, "malayalam"),
    (0x0E00, 0x0E7F, "thai"),
    (0x10A0, 0x10FF, "georgian"),
    (0x1200, 0x137F, "ethiopic"),
    (0x3040, 0x30FF, "kana"),
    (0x2E80, 0x9FFF, "han"),
    (0xAC00, 0xD7AF, "hangul"),
)
_COMMON = {  # the most common words of each language
    "en": (
        "the is are was were what how why of do does can which who to in and for a my you "
        "it with i as be been at on am will would should have has had if there this that "
        "not no me your an or from by some any get need come help more when where"
    ),
    "de": (
        "der die das ist sind was wie warum und ich nicht ein eine wer wo den dem mit von "
        "für auf zu kann man sie wir mein haben wird werden zum bei"
    ),
    "fr": (
        "le la les de à au aux ce cette est sont que quoi comment pourquoi et je pas un une "
        "qui où des du dans pour avec sur quel quelle vous nous elle mon mes votre allez peut "
        "bonjour"
    ),
    "es": (
        "el la los las es son qué que cómo como por y yo un una quién dónde del en para con "
        "cuál cuánto puedo su hay está tiene hacer puede hola gracias"
    ),
    "it": (
        "il la gli è sono che cosa come perché e io non un una chi dove del della in per "
        "con quale quanto posso"
    ),
    "pt": (
        "o a os as é são que como por e eu não um uma quem onde do da em para com qual quanto posso"
    ),
    "nl": (
        "de het een er is zijn wat hoe waarom en ik niet een wie waar van in voor met op welke kan"
    ),
    "pl": "jest są co jak dlaczego i ja nie kto gdzie w na do z dla który czy można się",
    "sv": "är vad hur varför och jag inte en ett vem var av i för med på kan den det som",
    "da": ("er hvad hvordan hvorfor og jeg ikke en et hvem hvor af i til med på kan den det som"),
    "tr": "ne nasıl neden ve ben değil bir kim nerede için ile mi mı var bu kadar hangi nedir",
    "id": (
        "apa bagaimana mengapa dan saya tidak siapa mana yang di ke dari untuk dengan "
        "adalah ini itu cara"
    ),
    "vi": "là gì như thế nào tại sao và tôi không một ai ở đâu của cho với có được",
    "ro": "este sunt ce cum de și eu nu un o cine unde în pentru cu pe care cât",
    "cs": "je jsou co jak proč a já ne kdo kde v na do z pro který se jsem",
    "ru": (
        "что как какая какой какие и в на не кто где когда почему это для за или я мне у с туда"
    ),
    "uk": "що як яка який які і й в на не хто де коли чому це для за або я мені у з туди та",
    "fi": "on ovat ja miten mikä mitä miten miksi ja minä ei kuka missä että kuinka voi",
    "hu": "a az mi mit hogyan miért és én nem egy ki hol van hogy kell lehet",
}
_LANGUAGES_OF: dict[str, tuple[str, ...]] = {}
for _language, _words in _COMMON.items():
    for _word in dict.fromkeys(_words.split()):
        _LANGUAGES_OF[_word] = (*_LANGUAGES_OF.get(_word, ()), _language)


_UKRAINIAN, _RUSSIAN = frozenset("іїєґІЇЄҐ"), frozenset("ыэёъЫЭЁЪ")
_LOOK = 600


FOREIGN = frozenset(word for word, languages in _LANGUAGES_OF.items() if "en" not in languages)


class TextLocale(NamedTuple):
    """A script and a language; each is empty where the text does not decide it."""

    script: str
    language: str


def locale_of(text: str, words: Iterable[str]) -> TextLocale:
    """Read the script of the first letters and the language of the first words."""
    script = "latin" if text.isascii() else _script(text[:_LOOK])
    if script not in ("latin", "cyrillic"):
        return TextLocale(script, "")
    if script == "cyrillic" and not _UKRAINIAN.isdisjoint(text[:_LOOK]):
        return TextLocale(script, "uk")
    if script == "cyrillic" and not _RUSSIAN.isdisjoint(text[:_LOOK]):
        return TextLocale(script, "ru")
    votes: Counter[str] = Counter()
    for word in words:
        languages = _LANGUAGES_OF.get(word, ())
        for language in languages:
            votes[language] += 2 if len(languages) == 1 else 1
    ranked = votes.most_common(2)
    if not ranked or ranked[0][1] < 3:
        return TextLocale(script, "")
    if len(ranked) > 1 and ranked[1][1] * 3 > ranked[0][1] * 2:
        return TextLocale(script, "")
    return TextLocale(script, ranked[0][0])


def _script(text: str) -> str:
    letters = Counter(script_of(letter) for letter in text if letter.isalpha())
    if letters["kana"]:  # Japanese mixes three scripts
        letters["kana"] += letters.pop("han", 0)
    total = letters.total()
    if not total:
        return ""
    script, count = letters.most_common(1)[0]
    return script if count >= 0.6 * total else ""


def script_of(letter: str) -> str:
    """Return the script of one letter; every letter that is not listed counts as Latin."""
    point = ord(letter)
    if point < 0x0370:
        return "latin"
    for first, last, name in _SCRIPTS:
        if first <= point <= last:
            return name
    return "latin"


LANGUAGES: dict[str, str] = {
    word: line.split()[0]
    for line in """
        english
        french
        german
        spanish
        italian
        portuguese
        dutch
        russian
        chinese mandarin
        cantonese
        japanese
        korean
        arabic
        hebrew
        hindi
        urdu
        bengali
        tamil
        telugu
        marathi
        gujarati
        kannada
        malayalam
        punjabi
        turkish
        persian farsi
        greek
        latin
        polish
        czech
        swedish
        norwegian
        danish
        finnish
        hungarian
        romanian
        ukrainian
        vietnamese
        thai
        indonesian
        malay
        swahili
        sanskrit
        irish
        mongolian
        filipino tagalog
        """.strip().splitlines()
    for word in line.split()
}
