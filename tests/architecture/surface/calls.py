"""The calls of the gateway that the surface is made of: what each is, and what is sent."""

from collections.abc import Mapping
from typing import Any

from tests.architecture.surface.provider import CHAT, MESSAGES

TOKEN = "an-admin-token-of-some-length"
ANY_WORDS = {"authorization": "Bearer sk-of-a-caller"}
KEY = {**ANY_WORDS, "askonce-semantic": "off"}
ADMIN = {"authorization": f"Bearer {TOKEN}"}
_CLAUDE = {"x-api-key": "sk-of-a-caller", "askonce-semantic": "off"}


def chat(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", **_asked(question), **more}


def _asked(question: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}]}


_MESSAGE = {**chat("Why?"), "model": "claude-haiku-4-5", "max_tokens": 9}
_LONG = {
    **_MESSAGE,
    "model": "claude-sonnet-4-5",
    "system": "Answer in one sentence, and name the source. " * 600,
}
Calls = dict[str, tuple[str, str, Mapping[str, str], Any]]

CALLS: Calls = {
    "a miss": ("POST", CHAT, ANY_WORDS, chat("What is a cache?")),
    "a hit": ("POST", CHAT, KEY, chat("What is a cache?")),
    "the hit as a stream": ("POST", CHAT, KEY, chat("What is a cache?", stream=True)),
    "a miss of Anthropic's": ("POST", MESSAGES, _CLAUDE, _MESSAGE),
    "a hit of Anthropic's": ("POST", MESSAGES, _CLAUDE, _MESSAGE),
    "a long prompt": ("POST", MESSAGES, _CLAUDE, _LONG),
    "its beginning again": ("POST", MESSAGES, _CLAUDE, {**_LONG, **_asked("Why not?")}),
    "its beginning once more": ("POST", MESSAGES, _CLAUDE, {**_LONG, **_asked("Who?")}),
    "no key": ("POST", CHAT, {}, chat("What is a cache?")),
    "a temperature": ("POST", CHAT, KEY, chat("Why?", temperature=1)),
    "a body that is no JSON": ("POST", CHAT, KEY, b"{"),
    "directives": (
        "POST",
        CHAT,
        {
            **KEY,
            "cache-control": "max-age=60",
            "askonce-ttl": "1h",
            "askonce-tags": "a,b",
            "askonce-namespace": "mine",
            "askonce-similarity": "0.99",
        },
        chat("Why?"),
    ),
    "directives that are ignored": (
        "POST",
        CHAT,
        {
            **KEY,
            "cache-control": "max-age=x",
            "askonce-ttl": "soon",
            "askonce-tags": "~",
            "askonce-semantic": "x",
            "askonce-similarity": "x",
        },
        chat("What is a cache?"),
    ),
    "a namespace that cannot be read": (
        "POST",
        CHAT,
        {**KEY, "askonce-namespace": "a b"},
        chat("What is a cache?"),
    ),
    "a lifetime of nothing": (
        "POST",
        CHAT,
        {**KEY, "askonce-ttl": "0s"},
        chat("Why not?"),
    ),
    "no-store": ("POST", CHAT, {**KEY, "cache-control": "no-store"}, chat("Why not?")),
    "no-cache": ("POST", CHAT, {**KEY, "cache-control": "no-cache"}, chat("Why not?")),
    "only-if-cached": (
        "POST",
        CHAT,
        {**KEY, "cache-control": "only-if-cached"},
        chat("Who?"),
    ),
    "a path that no format knows": ("GET", "/v1/models", KEY, None),
    "a provider by its name": ("GET", "/openai/v1/models", KEY, None),
    "a path that is not served": ("GET", "/elsewhere", {}, None),
    "a path with dots": ("GET", "/v1/../secrets", {}, None),
    "a body that is too long": ("POST", CHAT, KEY, b" " * 70_000),
    "a websocket": ("GET", "/v1/realtime", {"connection": "upgrade", "upgrade": "websocket"}, None),
    "a provider that is away": ("POST", f"/away{CHAT}", KEY, chat("Why?")),
    "the admin's token at a provider": ("POST", CHAT, ADMIN, chat("Why?")),
}
OWN: Calls = {
    "health": ("GET", "/healthz", {}, None),
    "metrics": ("GET", "/metrics", {}, None),
    "stats": ("GET", "/askonce/stats", {}, None),
    "savings without the token": ("GET", "/askonce/savings", {}, None),
    "savings of no days": ("GET", "/askonce/savings?days=0", ADMIN, None),
    "savings, posted": ("POST", "/askonce/savings", ADMIN, {}),
    "an invalidation": ("POST", "/askonce/invalidate", ADMIN, {"tags": ["a", "group:h:g"]}),
    "an invalidation tried out": (
        "POST",
        "/askonce/invalidate",
        ADMIN,
        {"match": "cache", "dry_run": True},
    ),
    "an invalidation of nothing": ("POST", "/askonce/invalidate", ADMIN, {}),
    "an invalidation that is no JSON": ("POST", "/askonce/invalidate", ADMIN, b"{"),
    "an invalidation without the token": ("POST", "/askonce/invalidate", {}, {"tags": ["a"]}),
    "an invalidation, fetched": ("GET", "/askonce/invalidate", ADMIN, None),
    "an event": (
        "POST",
        "/askonce/events",
        ADMIN,
        {"event": "product_updated", "data": {"product_id": "1"}, "id": "e1"},
    ),
    "the event again": (
        "POST",
        "/askonce/events",
        ADMIN,
        {"event": "product_updated", "data": {"product_id": "1"}, "id": "e1"},
    ),
    "an event that no rule names": ("POST", "/askonce/events", ADMIN, {"event": "unheard-of"}),
}
