"""The demo: real customers' questions, asked through the unmodified SDKs, and what came of it."""

import argparse
import asyncio
import contextlib
import io
import json
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from askonce.cli.demo.provider.answers import answer_to
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running
from askonce.cli.demo.report import WIDTH, Answered, CacheStatus, DemoSavings, Report
from askonce.cli.demo.traffic import TrafficCall, arrivals

OPENAI_MODEL = "gpt-4o-mini"
ANTHROPIC_MODEL = "claude-haiku-4-5"
SYSTEM = (
    "You are the support assistant of a mobile bank. Answer in plain words and in at most 120 of "
    "them. Name the next step the customer can take in the app. Never ask for a PIN, a passcode "
    "or a full card number. If a person has to look into it, say when they will write back."
)

Seen = Callable[[Answered], None]
StartGateway = Callable[[str], AbstractContextManager[str]]
"""Starts a gateway in front of the provider at this base URL; gives the gateway's own."""


class Customers:
    """Everybody who asks: one client of each SDK, both pointed at the gateway."""

    def __init__(self, gateway_url: str) -> None:
        self.openai = openai.AsyncOpenAI(
            api_key="sk-practice", base_url=f"{gateway_url}/v1", timeout=30
        )
        self.anthropic = anthropic.AsyncAnthropic(
            api_key="sk-ant-practice", base_url=gateway_url, timeout=30
        )

    async def __aenter__(self) -> "Customers":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.openai.close()
        await self.anthropic.close()

    async def put(self, ask: TrafficCall) -> Answered:
        """Ask one question, time the answer and compare it with what the model says."""
        texts = self._openai(ask) if ask.sdk == "openai" else self._anthropic(ask)
        started = time.perf_counter()
        status = ""
        said: list[str] = []
        first_text: float | None = None
        try:
            async with contextlib.aclosing(texts):
                status = await anext(texts)
                async for text in texts:
                    if text and first_text is None:
                        first_text = _ms_since(started)
                    said.append(text)
        except (openai.OpenAIError, anthropic.AnthropicError, httpx2.HTTPError) as error:
            took = _ms_since(started)
            return Answered(ask, "miss", took, error=f"{type(error).__name__}: {error}")
        cache = CacheStatus.parse(status) or CacheStatus(fwd="miss")
        return Answered(
            ask,
            cache.outcome,
            _ms_since(started),
            first_text if ask.stream else None,
            right="".join(said) == answer_to(ask.question),
        )

    async def _openai(self, ask: TrafficCall) -> AsyncGenerator[str, None]:
        """The `Cache-Status` header, then the answer as it comes."""
        create = self.openai.chat.completions.with_raw_response.create
        messages: list[Any] = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": ask.question},
        ]
        if not ask.stream:
            whole = await create(model=OPENAI_MODEL, messages=messages)
            yield whole.headers.get("cache-status", "")
            yield whole.parse().choices[0].message.content or ""
            return
        raw = await create(
            model=OPENAI_MODEL,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
        )
        yield raw.headers.get("cache-status", "")
        async with raw.parse() as stream:
            async for chunk in stream:
                for choice in chunk.choices:
                    yield choice.delta.content or ""

    async def _anthropic(self, ask: TrafficCall) -> AsyncGenerator[str, None]:
        """The `Cache-Status` header, then the answer as it comes."""
        create = self.anthropic.messages.with_raw_response.create
        messages: list[Any] = [{"role": "user", "content": ask.question}]
        if not ask.stream:
            whole = await create(
                model=ANTHROPIC_MODEL, max_tokens=512, system=SYSTEM, messages=messages
            )
            yield whole.headers.get("cache-status", "")
            message = await whole.parse()
            yield "".join(block.text for block in message.content if block.type == "text")
            return
        raw = await create(
            model=ANTHROPIC_MODEL, max_tokens=512, system=SYSTEM, messages=messages, stream=True
        )
        yield raw.headers.get("cache-status", "")
        async with await raw.parse() as stream:
            async for event in stream:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    yield event.delta.text


async def ask_all(
    asks: Sequence[TrafficCall], *, gateway_url: str, concurrency: int, seen: Seen
) -> list[Answered]:
    """Ask every question, `concurrency` at a time, in order; `seen` hears of each answer."""
    waiting = iter(asks)
    answered: list[Answered] = []

    async def customer(customers: Customers) -> None:
        for ask in waiting:
            call = await customers.put(ask)
            answered.append(call)
            seen(call)

    async with Customers(gateway_url) as customers, asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(customer(customers))
    return answered


def run_demo(
    *,
    gateway_url: str,
    provider_url: str,
    requests: int = 600,
    concurrency: int = 16,
    seed: int = 7,
    zipf: float = 1.0,
    console: Console | None = None,
) -> Report:
    """Send the questions through the gateway, show progress, and report; answers are checked.

    The provider behind the gateway must be the demo provider: its own count of calls is
    what the report gives as calls to the model. Raises `httpx2.HTTPError` if it cannot be reached.
    """
    asks = arrivals(requests, seed=seed, zipf=zipf)
    saved_before = _savings(gateway_url)
    calls_before = _calls(provider_url)
    started = time.perf_counter()
    with _Watcher(console or Console(), total=requests) as watching:
        questions = ask_all(
            asks, gateway_url=gateway_url, concurrency=concurrency, seen=watching.saw
        )
        calls = asyncio.run(questions)
    seconds = time.perf_counter() - started
    return Report(
        calls=tuple(calls),
        seconds=seconds,
        upstream_calls=_calls(provider_url) - calls_before,
        savings=_difference(_savings(gateway_url), saved_before),
    )


class _Watcher:
    """The progress of a demo on a terminal; silent where there is none."""

    def __init__(self, console: Console, *, total: int) -> None:
        self._progress = Progress(
            TextColumn("asking"),
            BarColumn(40),
            MofNCompleteColumn(),
            TextColumn("[green]{task.fields[spared]} without asking the model"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("asking", total=total, spared=0)
        self._spared = 0

    def __enter__(self) -> "_Watcher":
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def saw(self, call: Answered) -> None:
        self._spared += call.outcome in ("hit", "joined")
        self._progress.update(self._task, advance=1, spared=self._spared)


def main(argv: Sequence[str] | None = None, *, start_gateway: StartGateway) -> int:
    """Start a provider and a gateway, run the demo, print the report.

    Returns 0 if every answer was right, else 1.
    """
    options = _options(argv)
    console = Console(width=min(Console().width, 100))
    provider = DemoProvider()
    with running(provider) as provider_url, start_gateway(provider_url) as gateway_url:
        if not options.json:
            console.print(f"The demo provider is on {provider_url}, AskOnce on {gateway_url}.\n")
        report = run_demo(
            gateway_url=gateway_url,
            provider_url=provider_url,
            requests=options.requests,
            concurrency=options.concurrency,
            seed=options.seed,
            zipf=options.zipf,
            console=Console(stderr=True) if options.json else console,
        )
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        console.print(report)
    if options.picture is not None:
        options.picture.write_text(picture(report), encoding="utf-8")
    return 0 if report.all_right else 1


def picture(report: Report) -> str:
    """The report as a terminal shows it, as an SVG that loads nothing from elsewhere."""
    console = Console(record=True, file=io.StringIO(), force_terminal=True, width=WIDTH)
    console.print(report)
    return re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="make demo"), flags=re.DOTALL)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="askonce demo",
        description=(
            "Ask real customers' questions through the gateway and see the answers from the "
            "cache. The model is a demo provider on this machine: nothing leaves it and "
            "nothing is charged."
        ),
    )
    parser.add_argument("--requests", type=int, default=600, help="questions to ask (600)")
    parser.add_argument("--concurrency", type=int, default=16, help="how many at a time (16)")
    parser.add_argument(
        "--seed", type=int, default=7, help="which questions, and in what order (7)"
    )
    parser.add_argument(
        "--zipf", type=float, default=1.0, help="how unequal their popularity is; 0 is equal (1.0)"
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--picture", type=Path, help="also write the report to this file, as SVG")
    return parser.parse_args(argv)


def _calls(provider_url: str) -> int:
    return int(httpx2.get(f"{provider_url}/practice/calls").raise_for_status().json()["total"])


def _savings(gateway_url: str) -> DemoSavings:
    """What the gateway says it has saved so far; nothing if it does not say."""
    response = httpx2.get(f"{gateway_url}/askonce/stats")
    if response.status_code != 200:
        return DemoSavings()
    stats = response.json()
    return DemoSavings(Decimal(str(stats["saved_usd"])), int(stats["saved_tokens"]))


def _difference(after: DemoSavings, before: DemoSavings) -> DemoSavings:
    if after.usd is None or after.tokens is None:
        return after
    return DemoSavings(after.usd - (before.usd or 0), after.tokens - (before.tokens or 0))


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
