"""`askonce warm`: fill the cache from a file, line by line."""

import argparse
import functools
import json
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from askonce.cli import INTERRUPTED
from askonce.cli.access.configuration import read_settings
from askonce.cli.access.gateways import running_gateway
from askonce.cli.access.stores import open_shared
from askonce.cli.output.meter import Meter
from askonce.config.settings import Settings
from askonce.core import keys, policy
from askonce.core.directives import Directives
from askonce.core.errors import ConfigError
from askonce.core.models import Entry
from askonce.core.protocols import Store
from askonce.core.rules.re2 import compiled_rules
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.core.scopes import scope_of_text
from askonce.core.units import parse_duration
from askonce.pipeline.texts import FORMAT, directives_for

LOCAL = "local"
_AT_ONCE = 256
_PATIENCE_S = 600.0
_SHOWN = 100  # characters of a provider's complaint


class KnownAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """A line with a question and its answer."""

    question: str
    answer: str
    scope: str = ""
    namespace: str = LOCAL
    ttl: str | float | None = None
    tags: list[str] = []


class WarmLine(msgspec.Struct, forbid_unknown_fields=True):
    """A line with a question for a provider."""

    path: str
    request: dict[str, Any]
    headers: dict[str, str] = {}


class LineResult(NamedTuple):
    """The result of a line: `stored`, `already there` or `failed`, and why."""

    number: int
    what: str
    why: str = ""


STORED, THERE, FAILED = "stored", "already there", "failed"


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    counts: Counter[str] = Counter()
    complaints: list[LineResult] = []
    with ExitStack() as stack:
        file = stack.enter_context(_opened(options.file))
        warmer = Warmer(settings, options, stack)
        meter = stack.enter_context(Meter("warming"))
        try:
            for result in warmer.all_of(file):
                counts[result.what] += 1
                if result.what == FAILED:
                    complaints.append(result)
                    print(f"line {result.number}: {result.why}", file=sys.stderr)
                meter.report(counts.total())
        except KeyboardInterrupt:
            print(f"askonce: stopped after {counts.total():,} lines; run it again", file=sys.stderr)
            return INTERRUPTED
    _print(options, counts, complaints)
    return 1 if counts[FAILED] else 0


def _print(options: argparse.Namespace, counts: Counter[str], complaints: list[LineResult]) -> None:
    if options.json:
        failures = [{"line": result.number, "why": result.why} for result in complaints]
        numbers = {"stored": counts[STORED], "already_there": counts[THERE]}
        print(json.dumps({**numbers, "failed": counts[FAILED], "failures": failures}, indent=2))
        return
    print(", ".join(f"{counts[what]:,} {what}" for what in (STORED, THERE, FAILED)))


class Warmer:
    """Puts known answers into the store, and sends questions to a gateway."""

    def __init__(self, settings: Settings, options: argparse.Namespace, stack: ExitStack) -> None:
        self._settings = settings
        self._rules = compiled_rules(settings.rules) if settings.rules else None
        self._options = options
        self._stack = stack
        self._clock = SyncRuntime().now
        self._store: Store | None = None
        self._via: str | None = options.via

    def all_of(self, file: BinaryIO) -> Iterator[LineResult]:
        numbered = ((n, line) for n, line in enumerate(file, 1) if line.strip())
        pool = self._stack.enter_context(ThreadPoolExecutor(self._options.concurrency))
        while some := list(islice(numbered, _AT_ONCE)):
            asked: list[tuple[int, WarmLine]] = []
            known: list[tuple[int, KnownAnswer]] = []
            for number, line in some:
                try:
                    read = read_line(line)
                except ValueError as error:
                    yield LineResult(number, FAILED, str(error))
                    continue
                if isinstance(read, KnownAnswer):
                    known.append((number, read))
                else:
                    asked.append((number, read))
            for number, one in known:
                yield self._keep(number, one)
            if asked:
                yield from pool.map(
                    functools.partial(ask, self._gateway()), *zip(*asked, strict=True)
                )

    def _keep(self, number: int, known: KnownAnswer) -> LineResult:
        if self._store is None:
            self._store = open_shared(self._settings)
            self._stack.callback(lambda: run_sync(self._store.close()) if self._store else None)
        try:
            ttl = self._seconds(known.ttl)
        except ValueError as error:
            return LineResult(number, FAILED, str(error))
        limits = self._settings.cache.limits
        directives = directives_for(self._rules, known.question, ttl, known.tags)
        verdict = policy.may_put(directives, limits)
        if not verdict.yes:
            return LineResult(number, FAILED, f"may not be stored: {verdict.reason}")
        stored = run_sync(keep(self._store, known, directives, self._clock(), limits))
        if stored is None:
            return LineResult(number, THERE)
        return (
            LineResult(number, STORED)
            if stored
            else LineResult(number, FAILED, "the store refused it")
        )

    def _seconds(self, ttl: str | float | None) -> float | None:
        if ttl is None:
            return None
        seconds = parse_duration(ttl) if isinstance(ttl, str) else float(ttl)
        if seconds <= 0:
            raise ValueError("ttl is not above 0")
        return seconds

    def _gateway(self) -> str:
        if self._via is None:
            self._via = self._stack.enter_context(
                running_gateway(self._settings, self._options.config)
            )
        return self._via.rstrip("/")


def read_line(line: bytes) -> KnownAnswer | WarmLine:
    """Read a line. Raises ValueError, in words for the author of the file."""
    try:
        fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError("is not one JSON object") from None
    kind: type[KnownAnswer] | type[WarmLine] = (
        WarmLine if "path" in fields or "request" in fields else KnownAnswer
    )
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


async def keep(
    store: Store, known: KnownAnswer, directives: Directives, now: float, limits: policy.Limits
) -> bool | None:
    """Store a known answer under the key that `Cache.get` looks for; None if it is there."""
    asked = {"question": known.question, "scope": known.scope}
    key = keys.key_of(known.namespace, FORMAT, asked)
    ttl = policy.lifetime(directives.ttl, limits, key.digest, directives.lives)
    tags = tuple((await store.epochs(directives.tags)).items()) if directives.tags else ()
    before = await store.read(key)
    body = known.answer.encode()
    if before is not None and before.is_fresh(now) and before.body == body and before.tags == tags:
        return None
    entry = Entry(
        key=key,
        body=body,
        status=200,
        headers=(),
        created=now,
        expires=now + ttl,
        stale_until=now + ttl,
        question=known.question,
        tags=tags,
        scope=scope_of_text(known.namespace, known.scope),
    )
    return await store.write(entry)


def ask(via: str, number: int, asked: WarmLine) -> LineResult:
    """Ask a gateway, and read its `Cache-Status`."""
    headers = {"content-type": "application/json", **asked.headers}
    # Streaming is a way to show the answer, not part of the question.
    body = {name: part for name, part in asked.request.items() if not name.startswith("stream")}
    url = f"{via}/{asked.path.lstrip('/')}"
    try:
        # A scheme and a host that the operator configured, never the file.
        request = urllib.request.Request(url, msgspec.json.encode(body), headers, method="POST")  # noqa: S310
        with _opener().open(request, timeout=_PATIENCE_S) as response:
            response.read()
            return _result(number, response.headers.get("cache-status", ""))
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(1 << 16).decode("utf-8", "replace")
        return LineResult(number, FAILED, f"HTTP {error.code}: {' '.join(said.split())[:_SHOWN]}")
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return LineResult(number, FAILED, f"{via} cannot be asked: {reason}")


def _result(number: int, cache_status: str) -> LineResult:
    """Read a `Cache-Status` header (RFC 9211)."""
    parameters = [part.strip() for part in cache_status.split(";")]
    if "hit" in parameters:
        return LineResult(number, THERE)
    if "stored" in parameters or "detail=joined" in parameters:
        return LineResult(number, STORED)
    return LineResult(number, FAILED, f"answered, but not stored ({cache_status or 'no gateway'})")


def _opener() -> urllib.request.OpenerDirector:
    # Ignore a proxy of the environment: the gateway is on the own network.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _opened(name: str) -> BinaryIO:
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
