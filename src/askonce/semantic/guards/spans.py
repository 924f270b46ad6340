"""The spans that a text sets apart: quotations, code, addresses, formulas, and the output form."""

import re

import msgspec

MAX_CHARS = 8_000

_DOUBLED = re.compile(r"``|''|\"\"")
_QUOTED = re.compile(
    r"\"([^\"\n]{1,300})\"|\u201c([^\u201d\n]{1,300})\u201d|\u00ab([^\u00bb\n]{1,300})\u00bb"
    r"|\u201e([^\u201c\u201d\n]{1,300})[\u201c\u201d]|\u300c([^\u300d\n]{1,300})\u300d"
    r"|\u300e([^\u300f\n]{1,300})\u300f"
    r"|(?<![\w'])'([^'\n]{2,300})'(?!\w)|(?<!\w)\u2018([^\u2019\n]{2,300})\u2019(?!\w)"
)
_CODE = re.compile(
    r"```(.{1,4000}?)```|`([^`\n]{1,300})`"
    r"|((?:https?://|www\.)[^\s<>\"']{1,300}[^\s<>\"'.,?!)])"
    r"|([\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}\w)"
    r"|(\b[A-Za-z_][\w.]{0,80}\([^()\n]{0,80}\))"
    r"|(\b[a-z][a-z0-9]{0,40}_[a-z0-9_]{1,60}\b)"
    r"|((?<![\w.])(?:/[\w.-]{1,64}){2,12})"
    r"|((?<![\w.])[\w-]{1,60}(?:\.[\w-]{1,60}){0,4}\.(?:com|org|net|io|dev|edu|gov|info|co|ai|app|"
    r"txt|pdf|docx?|xlsx?|pptx?|csv|tsv|json|xml|ya?ml|toml|ini|cfg|conf|log|md|rst|html?|css|"
    r"jsx?|tsx?|py|ipynb|java|c|h|cpp|hpp|cs|go|rs|rb|php|sh|bat|sql|swift|kt|png|jpe?g|gif|svg|"
    r"mp[34]|wav|avi|mov|zip|tar|gz|exe|dll|iso|bak|env)\b)"
    r"|((?<!\S)--?[A-Za-z][\w-]{0,40})"
    r"|((?<![\w.])@\w{2,40})"
    r"|([\U0001f000-\U0001faff\u2600-\u27bf][\U0001f3fb-\U0001f3ff]?)"
    r"|(\b\w{1,60}\[[^\]\n]{1,60}\])",
    re.DOTALL,
)
_FORMULA = re.compile(
    r"[\w.()!]{1,40}(?:\s?[-+*/^=<>\u2264\u2265\u00d7\u00f7]{1,2}\s?[\w.()!]{1,40}){1,20}"
)
_REAL_FORMULA = re.compile(
    r"[=^*<>\u2264\u2265\u00d7\u00f7]|\w\s?\+\s?\w|\d\s-\s\d|\d\s?[-/]\s?[a-z]\b|\b[a-z]\s?[-/]\s?\d",
    re.IGNORECASE,
)
_FORM = re.compile(
    r"(?:\b(?:as|in|into|using|output|return|respond\s{1,4}with|reply\s{1,4}with|answer\s{1,4}with|formatted\s{1,4}as)\s{1,4}"
    r"|(?:^|[.?!:;\n]\s{0,4})(?:please\s{1,4})?(?:write|give|make|create|generate|produce|draw)\s{1,4}(?:me\s{1,4})?)"
    r"(?:only\s{1,4}|just\s{1,4})?(?:(?:an?|the|one|two|three|four|five|six|seven|eight|nine|ten|few|\d{1,4})\s{1,4})?(?:valid\s{1,4}|plain\s{1,4}|single\s{1,4}|numbered\s{1,4}|bulleted\s{1,4}|short\s{1,4})?"
    r"(json|xml|yaml|csv|markdown|html|latex|plain\s{1,4}text|table|bullets?|bullet\s{1,4}points|"
    r"list|essay|poem|haiku|rap|song|story|email|letter|tweet|paragraphs?|sentences?|(?<=one\s)word|(?<=single\s)word|"
    r"code|pseudocode|diagram|emojis?|detail|brief|summary|"
    r"layman'?s?\s{1,4}(?:terms|language)|simple\s{1,4}(?:terms|words|language))\b(?!\s{1,4}(?:file|format\s{1,4}to|to\s))",
    re.IGNORECASE,
)
_MANNER = re.compile(
    r"\b(step[\s-]by[\s-]step|briefly|concisely|in\s{1,4}detail|eli5|tl;?dr|"
    r"yes\s{1,4}or\s{1,4}no|in\s{1,4}short|"
    r"like\s{1,4}(?:i'?m|i\s{1,4}am)\s{1,4}(?:five|5|a\s{1,4}(?:child|kid|baby))|"
    r"to\s{1,4}an?\s{1,4}(?:\w{1,9}[\s-]year[\s-]old|child|kid|beginner|layman|layperson|"
    r"expert|physicist|doctor|lawyer|programmer|scientist|grandmother)|"
    r"(?:simple|short|brief|concise|quick|long|detailed|thorough|in-depth|formal|informal)\s{1,4}"
    r"(?:answer|reply|explanation|summary|overview|version|email|letter))(?!\s{1,4}term)\b",
    re.IGNORECASE,
)
_WORDS = re.compile(r"\w+")
_SPACE = re.compile(r"\s+")


class TextSpans(msgspec.Struct, frozen=True):
    """The spans of a text, folded."""

    quoted: frozenset[str]
    code: frozenset[str]
    formulas: frozenset[str]
    forms: frozenset[str]


NONE = TextSpans(frozenset(), frozenset(), frozenset(), frozenset())


def _form(written: str) -> str:
    """Return one word for each form, so that "simple words" and "simple terms" are equal."""
    form = _SPACE.sub(" ", written.casefold()).replace("-", " ").removesuffix("s")
    for word in ("simple", "layman"):
        if form.startswith(word) and form.endswith(("term", "word", "language")):
            return "simple"
    return form


def spans_of(text: str) -> TextSpans:
    """Find the spans; every pattern is bounded, so the cost is linear."""
    text = text[:MAX_CHARS]
    straight = _DOUBLED.sub('"', text)
    quoted = {
        " ".join(_WORDS.findall(part.casefold()))
        for match in _QUOTED.finditer(straight)
        for part in match.groups()
        if part
    }
    code = {
        _SPACE.sub("", part.casefold()).rstrip("/")
        for match in _CODE.finditer(text if "```" in text else straight)
        for part in match.groups()
        if part
    }
    formulas = {
        _SPACE.sub("", match.group().casefold()).strip(".!")
        for match in _FORMULA.finditer(text)
        if _REAL_FORMULA.search(match.group())
    }
    forms = {
        _form(match.group(1)) for pattern in (_FORM, _MANNER) for match in pattern.finditer(text)
    }
    quoted.discard("")
    return TextSpans(frozenset(quoted), frozenset(code), frozenset(formulas), frozenset(forms))
