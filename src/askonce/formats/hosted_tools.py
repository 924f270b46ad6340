"""Hosted tools: what a request asks the provider itself to look up or to run.

An answer that rests on a search of today is another one tomorrow, so such a call bypasses the
cache. Providers spell this in many ways and add new ones, so this goes by words: a member, a tool
or a model whose name speaks of search, retrieval, grounding, browsing or connectors counts, unless
it is explicitly off. A function that the caller declares is the caller's own, whatever its name.
"""

import itertools
import re
from collections.abc import Container, Mapping
from typing import Any

from askonce.core.bounded import BoundedMap
from askonce.formats.member_names import PROTOCOL_MEMBERS, has_pair, words_of

LOOKUP_WORDS = frozenset(
    {
        "browse", "browser", "browsing", "connector", "connectors", "crawl", "crawler",
        "datasource", "datasources", "grounded", "grounding", "internet", "mcp",
        "online", "plugin", "plugins", "rag", "retrieval", "retrieve", "retriever",
        "searches", "searching", "web", "webpage",
    }
)  # fmt: skip
"""Words of a member's name that speak of a lookup by the provider; so does a word that ends in
`search`, but not `research`."""

LOOKUP_PAIRS = frozenset(
    {
        ("builtin", "tools"), ("code", "execution"), ("code", "interpreter"),
        ("collection", "ids"), ("collection", "names"), ("corpus", "id"), ("corpus", "ids"),
        ("data", "source"), ("data", "sources"), ("data", "store"), ("data", "stores"),
        ("dataset", "ids"), ("deep", "research"), ("enable", "enhancement"), ("enabled", "tools"),
        ("hosted", "tools"), ("knowledge", "base"), ("knowledge", "bases"), ("knowledge", "id"),
        ("knowledge", "ids"), ("knowledge", "source"), ("knowledge", "sources"),
        ("server", "tools"), ("tool", "ids"), ("tool", "servers"), ("url", "context"),
        ("vector", "store"), ("vector", "stores"),
    }
)  # fmt: skip
"""Neighboring words that do the same."""

SEARCH_OF_TEXTS = frozenset(
    {"assisted", "beam", "contrastive", "diverse", "greedy", "lookahead", "tree"}
)
"""Words for how a model picks its tokens: `use_beam_search` looks nothing up."""

READING_PLUGIN_WORDS = frozenset(
    {
        "doc", "docs", "document", "documents", "extract", "extractor", "file", "files", "image",
        "ocr", "parse", "parser", "parsing", "pdf", "reader", "reading", "text",
    }
)  # fmt: skip
"""A plugin whose name has only such words reads the files of the request; it is no lookup."""

QUIET_PLUGINS = frozenset({"auto-router", "context-compression", "moderation", "response-healing"})
"""Plugins that look nothing up."""

SEARCH_MODELS = frozenset(
    {
        "brave", "browse", "browser", "browsing", "compound", "exa", "grounded", "grounding",
        "internet", "linkup", "online", "sonar", "tavily", "web",
    }
)  # fmt: skip
"""Words of the names of models that search by themselves; so does a word that ends in `search`,
and `deep-research`."""

LIVE_VARIANTS = frozenset({"browse", "online", "search", "web", "web-search", "websearch"})
"""What behind a `:` makes any model search, as in `openai/gpt-4o:online`."""

_OFF = frozenset({"", "0", "disable", "disabled", "false", "never", "no", "none", "off"})
_ON = frozenset({"1", "always", "auto", "enabled", "on", "required", "true", "yes"})
_SWITCHES = frozenset({"active", "enable", "enabled", "mode", "on", "status", "type"})
_REVERSED = frozenset({"disable", "disabled", "exclude", "no", "skip", "without"})
_SWITCH_WORDS = frozenset({"allow", "enable", "enabled", "force", "forced", "use", "with"})

_CONTENT_WORDS = frozenset(
    {
        "content", "documents", "examples", "grammar", "history", "inputs", "json", "labels",
        "metadata", "prompt", "properties", "regex", "schema", "tags", "template", "text",
        "variables",
    }
)  # fmt: skip
_DEEPEST = 4

# Members of a tool that declares a function of the caller's.
_DECLARATIONS = ("function", "custom", "function_declarations", "functionDeclarations")
_SCHEMAS = ("description", "inputSchema", "input_schema", "parameters")
_ABOUT_A_TOOL = frozenset(
    {
        *_DECLARATIONS, *_SCHEMAS, "allowed_callers", "cache_control", "defer_loading",
        "description", "format", "id", "input_examples", "name", "strict", "type",
    }
)  # fmt: skip
_MODEL_WORD = re.compile(r"[a-z]+|[0-9]+")
_LONGEST_MODEL = 256  # characters; a longer name is no model's
_models: BoundedMap[str, tuple[bool, bool]] = BoundedMap(1_024)


def asks_for_lookup(body: Mapping[str, Any]) -> bool:
    """Whether the members or the model of a request ask the provider to look something up.

    Parameters:
        body: the parsed body; its tools are judged one by one, see `is_hosted`.
    """
    options: list[tuple[str, ...]] = []
    off: list[tuple[str, ...]] = []
    for name, value in body.items():
        if name in PROTOCOL_MEMBERS or value is None:
            continue
        words = words_of(name)
        if not _speaks_of_lookup(words):
            if type(value) is dict and _asks_inside(words, value, _DEEPEST):
                return True
        elif "plugin" in words or "plugins" in words:
            if any(map(_is_live_plugin, _plugins(value))):
                return True
        elif not _REVERSED.isdisjoint(words) and type(value) is not list:
            if not is_off(value):
                off.append(_stem(words))
        elif is_off(value):
            if value is False or not _SWITCH_WORDS.isdisjoint(words):
                off.append(_stem(words))
        elif _is_plainly_on(value):
            return True
        else:
            options.append(words)
    # A switch that is off turns off the options of the same name, and a model's own search.
    if any(not any(_is_part(stem, words) for stem in off) for words in options):
        return True
    no_search = any(stem[-1:] == ("search",) for stem in off)
    return is_search_model(body.get("model"), switched_off=no_search)


def is_hosted(tool: Mapping[str, Any], own_types: Container[str]) -> bool:
    """Whether the provider runs a tool; False for a function that the caller declares.

    Parameters:
        tool: the tool, an object; its `type` is a text, null or absent.
        own_types: the types of tools that the caller runs.
    """
    kind = tool.get("type")
    if kind is not None and kind not in own_types:
        return not (is_off(dict(tool, type=None)) or is_off(tool.get(kind, True)))
    if kind is None and not _declares_function(tool):
        return any(not is_off(value) for value in tool.values())
    if any(_is_builtin(tool.get(name)) for name in ("function", "custom")):
        return True
    return any(
        not is_off(value) and _speaks_of_lookup(words_of(name))
        for name, value in tool.items()
        if name not in _ABOUT_A_TOOL
    )


def is_search_model(model: Any, *, switched_off: bool = False) -> bool:
    """Whether a model searches by itself, by its name.

    Parameters:
        model: the model's name, perhaps with its maker before a `/` and variants behind a `:`.
        switched_off: True if the request turns the model's search off. A variant stays on.
    """
    if type(model) is not str or len(model) > _LONGEST_MODEL:
        return False
    known = _models.get(model)
    if known is None:
        known = _models[model] = _searches(model.lower().rpartition("/")[2])
    by_variant, by_itself = known
    return by_variant or (by_itself and not switched_off)


def _searches(model: str) -> tuple[bool, bool]:
    """Return whether a variant of a model searches, and whether the model does by itself."""
    name, *variants = model.split(":")
    if name == "ft" and variants:  # a model that was trained further: `ft:gpt-4o:acme::id`
        name, variants = variants[0], []
    words = tuple(_MODEL_WORD.findall(name))
    by_itself = (
        not SEARCH_MODELS.isdisjoint(words)
        or any(map(_is_search, words))
        or ("deep", "research") in itertools.pairwise(words)
    )
    return not LIVE_VARIANTS.isdisjoint(variants), by_itself


def is_off(value: Any) -> bool:
    """Whether a member's value turns it off: null, false, 0, `off`, an empty list, `mode: off`.

    Parameters:
        value: the value. An empty object is on: `web_search_options: {}` searches.
    """
    if value is None or value is False:
        return True
    if type(value) is str:
        return value.strip().lower() in _OFF
    if type(value) is list:
        return all(map(is_off, value))
    if type(value) is not dict:
        return value == 0 and value is not True
    is_switched_off = False
    for name, switch in value.items():
        word = name.lower()
        if word in _SWITCHES:
            if switch is True or (type(switch) is str and switch.strip().lower() in _ON):
                return False
            is_switched_off |= switch is not None and is_off(switch)
        elif word in _REVERSED:
            is_switched_off |= switch is True
    return is_switched_off


def _speaks_of_lookup(words: tuple[str, ...]) -> bool:
    if not SEARCH_OF_TEXTS.isdisjoint(words):
        return False
    return (
        not LOOKUP_WORDS.isdisjoint(words)
        or any(map(_is_search, words))
        or has_pair(words, LOOKUP_PAIRS)
    )


def _is_search(word: str) -> bool:
    """Whether a word is a search, also when written in one: `websearch`."""
    return word.endswith("search") and not word.endswith("research")


def _asks_inside(words: tuple[str, ...], value: dict[str, Any], depth: int) -> bool:
    """Whether a member of an unknown object asks for a lookup, as in `features: {web_search}`."""
    if not depth or not _CONTENT_WORDS.isdisjoint(words):
        return False
    for name, inner in value.items():
        inner_words = words_of(name)
        if _speaks_of_lookup(inner_words) and _REVERSED.isdisjoint(inner_words):
            if "plugins" in inner_words and type(inner) is list:
                if any(map(_is_live_plugin, inner)):
                    return True
            elif _is_on(inner):
                return True
        elif type(inner) is dict and _asks_inside(inner_words, inner, depth - 1):
            return True
    return False


def _is_on(value: Any) -> bool:
    """Whether a value inside an unknown object is on; a text there may be anything."""
    return _is_plainly_on(value) or (type(value) in (dict, list) and not is_off(value))


def _is_plainly_on(value: Any) -> bool:
    """Whether a value says that it is on: true, `on`, `mode: on`."""
    if type(value) is dict:
        return any(
            name.lower() in _SWITCHES and type(switch) is not dict and _is_plainly_on(switch)
            for name, switch in value.items()
        )
    return value is True or (type(value) is str and value.strip().lower() in _ON)


def _stem(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a switch's name without the words that make it one."""
    return tuple([word for word in words if word not in _SWITCH_WORDS | _REVERSED])


def _is_part(stem: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Whether the words of a name have those of a switch in a row."""
    size = len(stem)
    return any(words[at : at + size] == stem for at in range(len(words) - size + 1))


def _plugins(value: Any) -> list[Any]:
    if type(value) is dict:
        return [
            {"id": name, **inner} if type(inner) is dict else name
            for name, inner in value.items()
            if not is_off(inner)
        ]
    return value if type(value) is list else [value]


def _is_live_plugin(plugin: Any) -> bool:
    """Whether a plugin may look something up; an unknown one may."""
    if is_off(plugin):
        return False
    name = plugin
    if type(plugin) is dict:
        name = plugin.get("id") or plugin.get("name") or plugin.get("type")
    if type(name) is not str:
        return True
    words = words_of(name)
    return name.lower() not in QUIET_PLUGINS and not (words and {*words} <= READING_PLUGIN_WORDS)


def _declares_function(tool: Mapping[str, Any]) -> bool:
    """Whether a tool without a type declares a function of the caller's."""
    if any(tool.get(name) is not None for name in _DECLARATIONS):
        return True
    if type(tool.get("name")) is str:
        return any(tool.get(name) is not None for name in _SCHEMAS)
    # Bedrock's `toolSpec`: one object that holds the declaration.
    return len(tool) == 1 and all(
        type(inner) is dict
        and type(inner.get("name")) is str
        and any(inner.get(schema) is not None for schema in _SCHEMAS)
        and not _speaks_of_lookup(words_of(name))
        for name, inner in tool.items()
    )


def _is_builtin(function: Any) -> bool:
    """Whether a function is the provider's own, as Moonshot's `$web_search`."""
    name = function.get("name") if type(function) is dict else None
    return type(name) is str and name.startswith("$")
