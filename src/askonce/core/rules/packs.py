"""Packs: ready-made patterns for questions whose answers should not be stored, each with a reason.

The patterns are in English, and precise rather than greedy: a question that a pack misses is stored
for a while, as without a pack; a question that it matches wrongly is paid for every time. So a pack
looks for the shape of a request, not for a word. "How do I change my password?" has the same answer
for all callers and does not match `personal`; "What is my IP address?" does. "How does it currently
work?" does not ask for the latest, and "How do I delete a file?" deletes nothing.

A space in a pattern matches any white space. RE2 has no look-ahead.
"""

from typing import NamedTuple

from askonce.core.models import Reason


class PackedPattern(NamedTuple):
    """A pattern of a pack, and what it says about a question that it matches."""

    pattern: str
    why: str


_WORD = r"[\w'’-]+"
_BEGIN = (  # of a sentence, with the words that only soften what follows
    r"(?:^|[.!?] |\n)\W*(?:(?:please|kindly|hi|hello|hey|ok|okay|so|and|then|also|now|just|"
    r"(?:can|could|would|will) you|i (?:want|need) you to|i['’]d like you to)\b\W*)*"
)
_MY = rf"my (?:{_WORD} ){{0,2}}"
_OWN = (  # what a company keeps of each of its customers
    r"(?:accounts?|address|appointments?|balance|bills?|bookings?|cards?|claims?|contract|credits?|"
    r"data|deliver(?:y|ies)|email|invoices?|ip|limit|loans?|luggage|messages|money|name|"
    r"number|orders?|packages?|parcels?|passwords?|payments?|payslip|pin|plan|points|policy|"
    r"premium|profile|refund|requests?|reservations?|salary|score|shipments?|subscriptions?|"
    r"tickets?|transactions?|transfers?|usage)\b"
)
_STATE = (
    r"(?:status|state|balance|total|number|date|amount|progress|eta|limit|value|address|name)"
    r"(?: (?:of|on|for|in))"
)
_DAY = (
    r"(?:tonight|tomorrow|yesterday|last night|"
    r"this (?:morning|afternoon|evening|week|weekend|month|year))"
)
_ASKS = r"\b(?:what|what['’]s|who|who['’]s|which|when|where|is|are|was|were|did|does|do|will)\b"
_CHANGES = (
    r"(?:news|headlines|prices?|(?:exchange |interest |mortgage )?rates?|scores?|results|standings|"
    r"version|release|updates?|forecast|temperature|president|prime minister|chancellor|ceo|"
    r"champion|population|inflation|status)\b"
)
_QUOTED = r"(?:gold|silver|oil|gas|bitcoin|btc|ethereum|crypto|(?:stock|share)s?)"
_THING = (  # what a program can delete, cancel or close
    r"(?:accounts?|alarms?|appointments?|backups?|bookings?|branch|cards?|comments?|contacts?|data|"
    r"database|documents?|emails?|entr(?:y|ies)|events?|files?|folders?|history|items?|meetings?|"
    r"memberships?|messages?|orders?|photos?|pictures?|posts?|profile|records?|reminders?|"
    r"reservations?|rows?|subscriptions?|tables?|tickets?|transfers?|users?)\b"
)
_THE = r"(?:my|the|this|that|these|those|our|all|every)"

_PERSONAL = (
    (
        rf"\bwhat(?:['’]?s| is| are| was| were) (?:the (?:{_WORD} )?{_STATE} )?{_MY}{_OWN}",
        "asks about the caller's own data",
    ),
    (
        (
            rf"\b(?:where(?:['’]s| is| are| was| did)|when (?:will|is|are|does|did|was)|"
            rf"has|have|did|was|were|why (?:was|were|is|are|has|have|did)) {_MY}{_OWN}"
        ),
        "asks what became of something of the caller's",
    ),
    (
        (
            rf"\b(?:is|are) {_MY}{_OWN} (?:still |already )?(?:ready|shipped|late|delayed|"
            rf"confirmed|"
            r"approved|active|due|paid|blocked|suspended|locked|on (?:its|the) way|overdue)\b"
        ),
        "asks what became of something of the caller's",
    ),
    (
        (
            rf"{_BEGIN}(?:show|list|tell|give|read|find|check|look up|fetch|get|display)"
            rf"(?: me)?(?: all)?(?: of)? {_MY}{_OWN}"
        ),
        "asks for the caller's own data",
    ),
    (
        (
            r"\bhow (?:much|many)\b[^.?!\n]{0,60}\b(?:do|did|have) i (?:still )?(?:owe|have|"
            r"spend|spent)"
            r"(?: left| in total| so far| (?:this|last) (?:week|month|year))?\W*$"
        ),
        "asks what the caller has",
    ),
    (
        r"\bdo i (?:still )?have any (?:unread|new|open|outstanding|pending|overdue|upcoming)\b",
        "asks what the caller has",
    ),
    (
        (
            r"\bam i (?:still |already )?(?:eligible|subscribed|logged in|signed in|verified|"
            r"registered|"
            r"enrolled|overdrawn|insured|covered)\b"
        ),
        "asks where the caller stands",
    ),
    (
        r"\b(?:who am i|where am i|how old am i|do you (?:remember|know) (?:me|my|who i am))\b",
        "asks who the caller is",
    ),
)

_TIME_SENSITIVE = (
    (
        (
            r"\b(?:right now|as of (?:right )?now|as of today|at this (?:very )?moment)\b"
            r"|\bat the moment\W*(?:[?.!,;\n]|$)"
        ),
        "says now",
    ),
    (
        (
            rf"\b(?:who|where|which {_WORD})(?: is|['’]s| are)? (?:{_WORD} ){{0,4}}currently\b"
            r"|\bhow (?:much|many)\b[^.?!\n]{0,60}\bcurrently\b"
        ),
        "says now",
    ),
    (
        (
            rf"\b(?:is|are) (?:{_WORD} ){{1,5}}(?:(?:currently|still) )?(?:open|closed|"
            rf"available|in stock|"
            r"down|offline|online|on sale)(?: right)? (?:now|today)\b"
            rf"|\b(?:is|are) (?:{_WORD} ){{1,5}}currently (?:open|closed|available|in stock|down|"
            r"on sale)\b"
            r"|\b(?:worth|cost|trading at) now\W*$"
        ),
        "says now",
    ),
    (
        (
            r"\bwhat (?:time|day|date|month|year) is (?:it|today|tomorrow)\b|\btoday['’]s date\b"
            r"|\bwhat(?:['’]?s| is) the (?:(?:current|exact) )?(?:date|time)"
            rf"(?: (?:now|today|in (?:{_WORD} ?){{1,3}}))?\W*$"
        ),
        "asks for the time",
    ),
    (rf"{_ASKS}[^.?!\n]{{0,100}}\b{_DAY}\W*(?:$|[?.!,\n]|\b(?:in|at|for|on)\b)", "names a day"),
    (
        (
            rf"\btoday['’]s (?:{_WORD} )?(?:{_CHANGES}|(?:weather|menu|match|game|specials?|deals?|"
            r"schedule)\b)"
            rf"|\b(?:open|closed|happen(?:ed|ing)|weather|rain|snow|play(?:s|ing)?|won|trading|"
            rf"worth|"
            rf"{_CHANGES})[^.?!\n]{{0,40}}\btoday\b"
        ),
        "names a day",
    ),
    (
        (
            rf"\b(?:latest|newest|most recent|current|up-to-date) (?:{_WORD} ){{0,2}}{_CHANGES}"
            r"|\bbreaking news\b|\blive (?:scores?|results|updates)\b"
        ),
        "asks for the latest",
    ),
    (
        (
            rf"\bwhat(?:['’]?s| is| are) (?:the )?(?:price|value|quote) of (?:an? )?{_QUOTED}\b"
            rf"|\bwhat(?:['’]?s| is) (?:the (?:{_WORD} ){{1,3}}|{_WORD}['’]s )(?:stock|share) "
            rf"price\b"
            rf"|\bwhat(?:['’]?s| is) the (?:{_WORD} ){{0,3}}exchange rate"
            r"(?:\W*$| (?:of|for|from|between)\b)"
        ),
        "changes by the hour",
    ),
    (
        (
            r"\b(?:what(?:['’]?s| is| will) the weather|weather (?:in|for|forecast)|is it "
            r"(?:raining|"
            r"snowing|sunny)|will it (?:rain|snow)|do i need an umbrella)\b"
        ),
        "changes by the hour",
    ),
)

_SIDE_EFFECTS = (
    (
        (
            rf"{_BEGIN}(?:send|forward|email|text|mail) (?:(?:an?|the|this|that|my|our|it|him|"
            rf"her|them|"
            r"everyone|everybody)\b)"
        ),
        "asks for a message to be sent",
    ),
    (
        (
            rf"{_BEGIN}(?:delete|remove|erase|wipe|cancel|close|deactivate|archive|restore|"
            rf"reset|block) "
            rf"{_THE} (?:{_WORD} ){{0,3}}{_THING}"
        ),
        "asks for something to be deleted or undone",
    ),
    (
        (
            rf"{_BEGIN}(?:delete|remove|cancel|close|archive|restore|block) "
            r"(?:account|appointment|booking|card|order|reservation|subscription|ticket|transfer)"
            r" (?:number |no\.? |#)?[\w-]*\d"
        ),
        "asks for something to be deleted or undone",
    ),
    (
        (
            rf"{_BEGIN}(?:book|reserve|schedule|reschedule|order|buy|purchase|rent|hire) (?:me |"
            rf"us )?"
            rf"(?:an?|the|another|some|my|our|\d+|one|two|three|four) (?:{_WORD} ){{0,3}}"
            r"(?:appointment|cab|call|car|demo|flights?|groceries|hotel|interview|meeting|milk|"
            r"pizzas?|ride|rooms?|seats?|shares|slot|table|taxi|tickets?|train|trip|visit)\b"
        ),
        "asks for something to be booked or bought",
    ),
    (
        (
            rf"{_BEGIN}(?:pay|transfer|wire|refund|charge|donate|withdraw|deposit) "
            r"(?:[$€£]|\d|(?:my|the|this|that|our|his|her|their|him|them)\b)"
            rf"|{_BEGIN}(?:refund|reimburse) (?:me|us)\b"
        ),
        "asks for money to be moved",
    ),
    (
        (
            rf"{_BEGIN}(?:submit|publish|deploy|restart|reboot|shut down|(?:turn|switch) (?:on|"
            rf"off)|lock|"
            r"unlock) (?:(?:my|the|this|that|our|all|it)\b)"
            rf"|{_BEGIN}merge (?:my|the|this|that) (?:{_WORD} ){{0,2}}(?:pull request|pr|branch)\b"
        ),
        "asks for something to be switched",
    ),
    (
        (
            rf"{_BEGIN}(?:remind me|wake me|sign me (?:up|out|in)|log me (?:in|out)|"
            rf"(?:un)?subscribe me|"
            r"set (?:an?|my|the) (?:alarm|timer|reminder)|call (?:me|him|her|them|my|an? "
            r"(?:taxi|cab|"
            r"ambulance))|(?:add|put)\b[^.?!\n]{1,60} (?:to|in|on|into) my (?:[\w-]+ "
            r")?(?:calendar|cart|basket|list|"
            r"wishlist))\b"
        ),
        "asks for something to be done",
    ),
    (
        (
            rf"{_BEGIN}(?:create|open|file|raise|register) (?:me )?(?:an?|the|another|my) "
            rf"(?:{_WORD} ){{0,2}}(?:account|appointment|case|claim|complaint|event|issue|pull "
            rf"request|"
            r"ticket|user)(?:\W*$| (?:for|in|on|at|with|about|named|called)\b)"
        ),
        "asks for something to be made",
    ),
    (
        rf"{_BEGIN}(?:update|change|set|rename|edit|upgrade|downgrade|renew) {_MY}{_OWN}",
        "asks for something to be changed",
    ),
)


def _packed(patterns: tuple[tuple[str, str], ...]) -> tuple[PackedPattern, ...]:
    return tuple(PackedPattern(pattern.replace(" ", r"\s+"), why) for pattern, why in patterns)


PACKS = {
    "personal": _packed(_PERSONAL),
    "time-sensitive": _packed(_TIME_SENSITIVE),
    "side-effects": _packed(_SIDE_EFFECTS),
}

REASONS = {
    "personal": Reason.PERSONAL,
    "time-sensitive": Reason.TIME_SENSITIVE,
    "side-effects": Reason.SIDE_EFFECT,
}
"""The reason why a pack bypasses the cache."""
