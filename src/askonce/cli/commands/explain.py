"""`askonce explain`: why two request bodies do or do not share a key."""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from askonce.cli.access.configuration import read_settings
from askonce.cli.output.terminal import show_json
from askonce.config.settings import Settings
from askonce.core.errors import CallMalformed, ConfigError
from askonce.core.origins import OWN, Origins, OriginTraits
from askonce.core.runtime.threads import run_sync
from askonce.core.values import nearest
from askonce.core.wire_format import WireFormat
from askonce.pipeline.explain import Explanation, explain, guess_format


def run(options: argparse.Namespace) -> int:
    if options.near is not None:
        return _near(options)
    if options.a is None or options.b is None:
        raise ConfigError("explain compares two request bodies; name two files, or --near QUESTION")
    settings = read_settings(options)
    if options.a == options.b == "-":
        raise ConfigError("only one of the two bodies can come from standard input")
    a, b = _body(options.a), _body(options.b)
    name = options.format or _guess(options, a, b)
    try:
        origin = _origin(options, settings, name)
        explanation = explain(
            _format(name), a, b, samples=settings.cache.limits.pool, origin=origin
        )
    except CallMalformed as error:
        raise CallMalformed(f"not a body of {name}: {error}") from None
    except RecursionError:
        raise CallMalformed("a body is nested too deeply to be compared") from None
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(explanation)).decode())
    else:
        _print(explanation)
    return 0 if explanation.same else 1


def _near(options: argparse.Namespace) -> int:
    if options.a is not None:
        raise ConfigError("--near takes a question in place of the files; leave one of them out")
    # Import lazily: only this option needs the semantic layer's libraries.
    from askonce.cli.access.nearest import nearest_entries
    from askonce.cli.output.nearest import print_nearest

    settings = read_settings(options)
    found = run_sync(nearest_entries(settings, options.near, options.namespace, options.limit))
    if options.json:
        print(show_json(found))
    else:
        print_nearest(found)
    return 0 if any(one["decision"] == "serve" for one in found["nearest"]) else 1


def _body(name: str) -> Any:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallMalformed(f"{name}: is not JSON: {error}") from None
    except RecursionError:
        raise CallMalformed(f"{name}: is nested too deeply") from None


def _guess(options: argparse.Namespace, a: Any, b: Any) -> str:
    guess_a, guess_b = guess_format(a), guess_format(b)
    for file, guess in ((options.a, guess_a), (options.b, guess_b)):
        if guess is None:
            raise ConfigError(f"{file}: looks like no known request body; give its --format")
    if guess_a is None or guess_a != guess_b:
        raise ConfigError(
            f"{options.a} looks like {guess_a}, {options.b} like {guess_b}: two formats never "
            "share a key; give --format if both have one"
        )
    return guess_a


def _origin(options: argparse.Namespace, settings: Settings, format_name: str) -> OriginTraits:
    """Return what the address of the provider means: the named one, or the format's own."""
    stateless = {
        provider.base_url: provider.stateless
        for provider in settings.providers.values()
        if provider.stateless is not None
    }
    origins = Origins(stateless, settings.keys.ignore_members)
    provider = settings.provider_for(format_name.partition("_")[0])
    if options.provider is not None:
        provider = settings.providers.get(options.provider)
        if provider is None:
            near = nearest(options.provider, settings.providers)
            raise ConfigError(f"{options.provider!r} is not a provider{near}")
    return OWN if provider is None else origins.find(provider.base_url)


def _format(name: str) -> WireFormat:
    if name == "anthropic_messages":
        from askonce.formats.anthropic_messages import ANTHROPIC_MESSAGES

        return ANTHROPIC_MESSAGES
    from askonce.formats.openai_chat import OPENAI_CHAT

    return OPENAI_CHAT


def _print(explanation: Explanation) -> None:
    if explanation.same:
        print(f"same key: both are one question of {explanation.format}")
    else:
        print(f"different keys: two questions of {explanation.format}")
    if explanation.order_only:
        print(
            "only the order of members inside a schema or other JSON of the caller differs; a model"
            " writes in\nthat order, so send it in one order to share a key"
        )
    for title, found in (
        ("what makes the difference:", explanation.matter),
        ("what differs and does not matter:", explanation.ignored),
    ):
        if found:
            print(f"\n{title}")
        for item in found:
            print(f"  {item.pointer or '/'}\n    A  {item.a}\n    B  {item.b}")
    bypasses = [("A", explanation.bypass_a), ("B", explanation.bypass_b)]
    if any(reason for _, reason in bypasses):
        print()
    for name, reason in bypasses:
        if reason:
            print(f"{name} would not be looked up: bypass, {reason}")
