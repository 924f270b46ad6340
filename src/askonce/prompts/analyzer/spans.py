"""What a span of text holds that changes from request to request: a date, an identifier, a name."""

import re

from askonce.prompts.analyzer.causes import Cause

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_DATE = re.compile(
    r"\d{4}-\d\d?-\d\d?|\d{4}/\d\d?/\d\d?|\d\d?[/.]\d\d?[/.]\d{2,4}"
    rf"|\b{_MONTH}\.? \d{{1,2}}\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH}\b|\b{_DAY}\b|\b(?:mon|tue|wed|thu|fri|sat|sun),"
    rf"|\b\d{{1,2}}:\d\d(?::\d\d)?\b|\d{{8}}T\d{{6}}|\b{_MONTH} \d{{4}}\b",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"\b(?:1[0-9]{9}|2[01][0-9]{8})(?:[0-9]{3}|[0-9]{6})?(?:\.[0-9]+)?\b")
_UUID = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE
)
_ULID = re.compile(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_NUMBER = re.compile(r"[^\w]*[#v]?\d[\d,. ]*[^\w]*")
_WORD = re.compile(r"\w+")
_HEX = re.compile(r"[0-9a-f]{8,}", re.IGNORECASE)
_LOCALE = re.compile(r"[a-z]{2,3}[-_][A-Za-z]{2,4}(?:[.-][\w-]+)?")
_LANGUAGES = frozenset(
    re.findall(
        r"\S+",
        """
        arabic bengali chinese czech danish dutch english finnish french german greek hebrew hindi
        hungarian indonesian italian japanese korean norwegian polish portuguese romanian russian
        spanish swedish thai turkish ukrainian vietnamese deutsch español français italiano
        português ar bn cs da de el en es fi fr he hi hu id it ja ko nl no pl pt ro ru sv th tr uk
        vi zh usd eur gbp jpy chf inr utc cet est pst
        """,
    )
)
_NAME_BEFORE = re.compile(
    r"(?:\bname|\buser|\bcustomer|\bclient|\bfor|\bhello|\bhi|\bdear|\bassist(?:ing)?|\bhelp(?:ing)?"
    r"|\bwith|\bcalled|\bto|\bmr|\bmrs|\bms)\W*(?:is\s*)?[\"'<(]?\s*\Z",
    re.IGNORECASE,
)


def kind_of(a: str, b: str, before: str) -> tuple[Cause, float]:
    """What two spans hold that stand in the same place."""
    for pattern, cause in ((_EMAIL, Cause.EMAIL), (_UUID, Cause.UUID), (_ULID, Cause.UUID)):
        if pattern.search(a) and pattern.search(b):
            return cause, 0.95
    for pattern in (_DATE, _EPOCH):
        if pattern.search(a) and pattern.search(b):
            return Cause.DATE, 0.95
    if _is_identifier(a) and _is_identifier(b):
        return Cause.REQUEST_ID, 0.85
    if _NUMBER.fullmatch(a) and _NUMBER.fullmatch(b):
        return Cause.COUNTER, 0.85
    if _digits_apart(a) == _digits_apart(b) and any(char.isdigit() for char in a):
        return Cause.COUNTER, 0.75
    if _is_locale(a) and _is_locale(b):
        return Cause.LOCALE, 0.85
    if _is_name(a) and _is_name(b):
        return Cause.NAME, 0.8 if _NAME_BEFORE.search(before) else 0.6
    return Cause.UNKNOWN, 0.3


def _digits_apart(text: str) -> str:
    return re.sub(r"\d+", "0", text)


def _is_identifier(text: str) -> bool:
    """Does it hold a word that no one says: long, of digits and letters?"""
    for word in re.findall(r"[A-Za-z0-9_-]{8,}", text):
        digits = sum(char.isdigit() for char in word)
        letters = sum(char.isalpha() for char in word)
        if digits >= 2 and letters >= 1 and (digits + letters >= 8):
            return True
        if _HEX.fullmatch(word) and digits >= 2:
            return True
    return False


def _is_locale(text: str) -> bool:
    words = text.strip(" \t\n\"'.,:;=").split(":")
    word = words[-1].strip()
    return _LOCALE.fullmatch(word) is not None or word.lower() in _LANGUAGES


def _is_name(text: str) -> bool:
    """One to three words that begin with a capital letter, or a handle."""
    words = _WORD.findall(text.strip())
    if not 1 <= len(words) <= 3 or any(char.isdigit() for char in text):
        return False
    return all(word[:1].isupper() for word in words) or (len(words) == 1 and "@" in text)
