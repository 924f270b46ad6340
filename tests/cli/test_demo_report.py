"""The demo against real servers, and the report that comes of it."""

import contextlib
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from rich.console import Console

from askonce.cli.demo import run
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running
from askonce.cli.demo.report import Answered, CacheStatus, DemoSavings, Report, percentile
from askonce.cli.demo.run import run_demo
from askonce.cli.demo.traffic import TrafficCall


class PretendGateway:
    """A provider behind one fault or feature of a gateway.

    `confused` answers every question as if it were the same one, as a cache with a colliding
    key would; `hits` says that every answer is a hit and counts it; `down` refuses everything.
    """

    def __init__(self, *, confused: bool = False, hits: bool = False, down: bool = False) -> None:
        self.provider = DemoProvider(first_byte_ms=(0, 0), word_ms=0)
        self.confused = confused
        self.hits = hits
        self.down = down
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def confuse() -> Any:
            message = await receive()
            if message["type"] == "http.request" and message["body"]:
                body = msgspec.json.decode(message["body"])
                body["messages"][-1]["content"] = "Always the same"
                message["body"] = msgspec.json.encode(body)
            return message

        async def claim_hit(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"cache-status", b"askonce; hit; ttl=9; detail=memory"))
            await send(message)

        if scope["type"] == "http" and scope["path"] == "/askonce/stats" and self.hits:
            stats = {"saved_usd": f"{self.calls * 0.0001:.4f}", "saved_tokens": self.calls * 100}
            await _reply(send, 200, msgspec.json.encode(stats))
        elif scope["type"] == "http" and self.down and scope["method"] == "POST":
            await _reply(send, 500, b"{}")
        else:
            self.calls += scope.get("method") == "POST"
            asking = confuse if self.confused and scope.get("method") == "POST" else receive
            await self.provider(scope, asking, claim_hit if self.hits else send)


async def _reply(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"x-should-retry", b"false")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def demo_through(gateway: PretendGateway, *, requests: int = 100) -> Report:
    with running(gateway) as url:
        return run_demo(
            gateway_url=url,
            provider_url=url,
            requests=requests,
            console=Console(file=io.StringIO()),
        )


def answered(outcome: str, took_ms: float, **more: Any) -> Answered:
    return Answered(TrafficCall("How do I pay?", "pay", False, "openai"), outcome, took_ms, **more)


def rendered(report: Report, *, encoding: str = "utf-8", terminal: bool = False) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=file, width=100, force_terminal=terminal, legacy_windows=False).print(report)
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.fixture
def report() -> Report:
    hits = [answered("hit", float(ms)) for ms in range(1, 61)]
    joined = [answered("joined", 250.0)] * 4
    misses = [answered("miss", float(ms)) for ms in range(301, 337)]
    return Report((*hits, *joined, *misses), 12.34, 36, DemoSavings(Decimal("0.0321"), 51_234))


class TestRunning:
    def test_every_call_is_answered_right_and_seen_by_the_provider(self) -> None:
        report = demo_through(PretendGateway())

        assert len(report.calls) == report.upstream_calls == len(report.where("miss")) == 100
        assert report.all_right
        assert report.hit_rate == 0
        assert report.savings == DemoSavings()
        assert sum(call.first_text_ms is not None for call in report.calls) == 20
        assert {call.ask.sdk for call in report.calls} == {"openai", "anthropic"}

    def test_hits_are_read_from_the_header_and_savings_from_the_gateway(self) -> None:
        report = demo_through(PretendGateway(hits=True))

        assert len(report.where("hit")) == 100
        assert report.hit_rate == 1
        assert report.savings == DemoSavings(Decimal("0.0100"), 10_000)

    def test_a_gateway_that_mixes_up_questions_is_found_out(self) -> None:
        report = demo_through(PretendGateway(confused=True))

        assert len(report.wrong) == 100
        assert not report.all_right
        assert "wrong answers: 100" in rendered(report)

    def test_a_gateway_that_is_down_is_a_failure_not_a_wrong_answer(self) -> None:
        report = demo_through(PretendGateway(down=True), requests=50)

        assert len(report.failed) == 50
        assert report.wrong == []
        assert not report.all_right
        assert "failed calls: 50, the first with: InternalServerError" in rendered(report)

    @pytest.mark.parametrize(("confused", "status"), [(False, 0), (True, 1)])
    def test_main_exits_0_only_if_every_answer_is_right(
        self, capsys: pytest.CaptureFixture[str], confused: bool, status: int
    ) -> None:
        @contextlib.contextmanager
        def start_gateway(provider_url: str) -> Iterator[str]:
            assert httpx2.get(f"{provider_url}/practice/calls").json()["total"] == 0
            with running(PretendGateway(confused=confused)) as url:
                yield url

        argv = ["--requests", "8", "--json"]

        assert run.main(argv, start_gateway=start_gateway) == status
        numbers = json.loads(capsys.readouterr().out)
        assert numbers["calls"] == 8
        assert numbers["wrong"] == (8 if confused else 0)

    def test_the_report_can_be_kept_as_a_picture(self, tmp_path: Path) -> None:
        picture = tmp_path / "demo.svg"
        argv = ["--requests", "4", "--picture", str(picture)]

        assert run.main(argv, start_gateway=lambda _: running(PretendGateway())) == 0
        svg = picture.read_text("utf-8")
        assert svg.startswith("<svg")
        assert "wrong&#160;answers" in svg
        assert "url(http" not in svg


class TestNumbers:
    @pytest.mark.parametrize(
        ("values", "share", "expected"),
        [
            ([], 0.5, None),
            ([7.0], 0.99, 7.0),
            ([3.0, 1.0, 2.0], 0.5, 2.0),
            ([float(n) for n in range(1, 101)], 0.5, 50.0),
            ([float(n) for n in range(1, 101)], 0.99, 99.0),
            ([float(n) for n in range(1, 101)], 1.0, 100.0),
        ],
    )
    def test_percentile(self, values: list[float], share: float, expected: float | None) -> None:
        assert percentile(values, share) == expected

    def test_as_dict(self, report: Report) -> None:
        assert report.as_dict() == {
            "calls": 100,
            "seconds": 12.34,
            "hit_rate": 0.6,
            "hit": {"calls": 60, "p50_ms": 30.0, "p99_ms": 60.0},
            "joined": {"calls": 4, "p50_ms": 250.0, "p99_ms": 250.0},
            "miss": {"calls": 36, "p50_ms": 318.0, "p99_ms": 336.0},
            "bypass": {"calls": 0, "p50_ms": None, "p99_ms": None},
            "streamed": 0,
            "upstream_calls": 36,
            "saved_tokens": 51_234,
            "saved_usd": "0.0321",
            "wrong": 0,
            "failed": 0,
        }

    def test_no_calls_at_all_are_not_all_right(self) -> None:
        assert not Report((), 0.0).all_right
        assert "0 questions" in rendered(Report((), 0.0))


class TestRendering:
    def test_a_person_finds_every_number(self, report: Report) -> None:
        lines = [" ".join(line.split()) for line in rendered(report).splitlines()]

        for line in (
            "100 questions from bank customers, 1 of them different, in 12.3 s.",
            "60% were answered from the cache, 11 times as fast as the model.",
            "from the cache 60 30.0 ms 60.0 ms - ██████████",
            "joined a call in flight 4 250 ms 250 ms - █",
            "asked the model 36 318 ms 336 ms - ██████",
            "calls to the model 36 instead of 100",
            "tokens saved 51,234",
            "money saved $0.0321 $321 on a million such questions",
            "How do I pay? 100",
        ):
            assert line in lines
        assert any(line.startswith("wrong answers: 0 ") for line in lines)

    def test_a_terminal_gets_a_frame_of_at_most_30_lines(self, report: Report) -> None:
        text = rendered(report, terminal=True)

        assert "╭" in text
        assert "\x1b[" in text
        assert len(text.splitlines()) <= 30

    def test_elsewhere_it_is_plain_text(self, report: Report) -> None:
        text = rendered(report)

        assert not set("╭│╯\x1b") & set(text)
        assert max(map(len, text.splitlines())) <= 100

    def test_ascii_is_enough(self, report: Report) -> None:
        ask = TrafficCall("Is £5 the fee — or “free”? " * 9, "fee", False, "openai")
        report = msgspec.structs.replace(report, calls=(*report.calls, Answered(ask, "hit", 1.0)))

        assert "##########" in rendered(report, encoding="ascii")
        assert "Is ?5 the fee" in rendered(report, encoding="ascii")


class TestCacheStatus:
    @pytest.mark.parametrize(
        ("header", "outcome", "detail"),
        [
            ("askonce; hit; ttl=86400; detail=memory", "hit", "memory"),
            ("askonce;hit;ttl=5;detail=shared", "hit", "shared"),
            ("askonce; hit; ttl=-3; detail=stale", "hit", "stale"),
            ("askonce; hit; ttl=86400; detail=joined", "joined", "joined"),
            ("askonce; fwd=miss; stored; detail=not-found", "miss", "not-found"),
            ('askonce; fwd=bypass; detail="sampling"', "bypass", "sampling"),
            ("cdn; hit, askonce; fwd=miss", "miss", ""),
        ],
    )
    def test_parse(self, header: str, outcome: str, detail: str) -> None:
        status = CacheStatus.parse(header)

        assert status is not None
        assert (status.outcome, status.detail) == (outcome, detail)
        assert status.stored == ("stored" in header)

    @pytest.mark.parametrize("header", ["", "cdn; hit", "not-askonce; hit"])
    def test_another_cache_s_header_says_nothing(self, header: str) -> None:
        assert CacheStatus.parse(header) is None
