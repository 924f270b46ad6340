"""`askonce prompts`: what it prints, writes and returns, also for logs that are wrong."""

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from askonce.cli import main
from tests.prompts.clean_logs import clean
from tests.prompts.seeds import Seed, seeds

SEEDS = {(seed.name, seed.dialect): seed for seed in seeds()}
DATED = SEEDS["iso date", "messages"]
SECRET = "You answer for a support desk"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(DATED.text)
    return path


def analyzed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["prompts", "analyze", *arguments, "--json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


class TestAnalyze:
    def test_json_has_routes_and_findings(
        self, log: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        report = analyzed(capsys, str(log))

        (finding,) = report["findings"]
        assert finding["cause"] == "date"
        assert finding["pointer"] == "/system/0"
        assert "2026-11-03" in finding["before"]
        assert "2026-11-04" in finding["after"]
        assert finding["tokens_lost"] > 4_000
        assert finding["usd_lost"] > 0
        assert finding["confidence"] > 0.9
        assert "date" in finding["fix"]
        (route,) = report["routes"]
        assert (route["provider"], route["api"], route["requests"]) == ("anthropic", "messages", 2)
        assert route["reported"] is None
        reads = [
            route[name]["read_tokens"]
            for name in ("simulated", "achievable_markers", "achievable_layout")
        ]
        assert reads == sorted(reads)
        costs = [route[name]["usd"] for name in ("simulated", "achievable_layout")]
        assert costs[0] > costs[1] > 0
        assert report["bad_lines"] == []

    def test_gzip_and_standard_input_are_read_too(
        self, log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = analyzed(capsys, str(log))
        packed = log.with_suffix(".jsonl.gz")
        packed.write_bytes(gzip.compress(DATED.text))
        assert analyzed(capsys, str(packed)) == expected
        for data in (DATED.text, gzip.compress(DATED.text), b"\xef\xbb\xbf" + DATED.text):
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
            assert analyzed(capsys, "-") == expected

    def test_people_get_a_table_and_the_findings(
        self, log: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["prompts", "analyze", str(log)]) == 0
        out = capsys.readouterr().out

        assert "2 requests" in out
        assert re.search(r"^date +1 of 2 requests", out, re.MULTILINE)
        assert "/system/0, line 2" in out
        assert "\x1b" not in out
        assert max(map(len, re.findall(r"^#.*$", out, re.MULTILINE))) <= 80

    def test_hashes_take_the_place_of_words(
        self, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page, sarif = tmp_path / "page.html", tmp_path / "found.sarif"
        arguments = ["prompts", "analyze", str(log), "--hash-only"]
        arguments += ["--html", str(page), "--sarif", str(sarif)]
        assert main([*arguments, "--json"]) == 0
        first = capsys.readouterr().out
        assert main(arguments) == 0
        shown = capsys.readouterr().out

        for text in (first, shown, page.read_text(), sarif.read_text()):
            assert "2026-11-0" not in text
            assert SECRET not in text
        finding = json.loads(first)["findings"][0]
        assert finding["before"].startswith("hash:")
        assert finding["before"] != finding["after"]
        assert main([*arguments, "--json"]) == 0
        again = json.loads(capsys.readouterr().out)["findings"][0]
        assert again["before"] != finding["before"]  # the key is not kept

    def test_the_page_is_whole_and_loads_nothing(
        self, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = tmp_path / "page.html"
        assert main(["prompts", "analyze", str(log), "--html", str(page)]) == 0
        text = page.read_text(encoding="utf-8")

        assert text.count("<svg") == 2
        assert "<mark>" in text
        assert not re.search(r"(src|href)=|url\(|@import|<script", text)

    def test_sarif_has_a_result_for_each_finding(
        self, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "found.sarif"
        assert main(["prompts", "analyze", str(log), "--sarif", str(file)]) == 0
        found = json.loads(file.read_text())

        assert found["version"] == "2.1.0"
        (run,) = found["runs"]
        (result,) = run["results"]
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["region"]["startLine"] == 2

    @pytest.mark.parametrize(("least", "status"), [("0.8", 1), ("80%", 1), ("0", 0)])
    def test_a_pipeline_can_fail(
        self, log: Path, capsys: pytest.CaptureFixture[str], least: str, status: int
    ) -> None:
        assert main(["prompts", "analyze", str(log), "--fail-under", least]) == status
        assert ("--fail-under" in capsys.readouterr().err) == bool(status)

    def test_a_clean_log_passes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "clean.jsonl"
        path.write_bytes(clean()[0].text)
        assert main(["prompts", "analyze", str(path), "--fail-under", "0.9"]) == 0
        assert "nothing was found" in capsys.readouterr().out


def line(**changes: Any) -> bytes:
    whole = {**DATED.lines[0], **changes}
    return json.dumps({k: v for k, v in whole.items() if v is not ...}).encode() + b"\n"


BAD: list[tuple[bytes, str, bool]] = [
    (b'{"ts": 1, "provider": "openai", "api": "chat", "requ\n', "cut short", False),
    (b"[1, 2]\n", "not a JSON object", False),
    (b"\xff\xfe\n", "not JSON", False),
    (line(ts=...), "`ts` is missing", False),
    (line(ts="soon"), "`ts` is not a number", False),
    (line(ts=True), "`ts` is not a number", False),
    (line(provider=...), "`provider` is missing", False),
    (line(api="telepathy"), "`api` is none of", False),
    (line(request=...), "`request` is missing", False),
    (line(request=[]), "`request` is not an object", False),
    (line(request={"model": "m", "messages": "hi"}), "bad `messages`", False),
    (line(request={"model": "m"}), "no `messages`", False),
    (line(api="chat"), "mixed dialects", False),
    (line(api="gemini"), "mixed dialects", False),
    (line(response="whole"), "`response` is not an object", True),
    (line(response={"usage": {"input_tokens": -5}}), "usage", True),
    (line(response={"usage": {"input_tokens": "many"}}), "usage", True),
    (line(ts=1_000), "its clock is", True),
]


class TestBadInput:
    @pytest.mark.parametrize(("bad", "why", "used"), BAD, ids=[why for _, why, _ in BAD])
    def test_a_bad_line_is_reported_by_its_number_and_ends_nothing(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        bad: bytes,
        why: str,
        used: bool,
    ) -> None:
        path = tmp_path / "log.jsonl"
        good = DATED.text.splitlines(keepends=True)
        path.write_bytes(good[0] + b"\n" + bad + good[1])
        report = analyzed(capsys, str(path))

        (found,) = report["bad_lines"]
        assert (found["line"], found["used"]) == (3, used)
        assert why in found["why"]
        assert report["bad_line_count"] == 1
        assert report["requests"] == 2 + used
        assert "date" in [one["cause"] for one in report["findings"]]

    def test_a_log_of_nothing_but_bad_lines(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "log.jsonl"
        path.write_bytes(b"".join(bad for bad, _, used in BAD if not used))
        report = analyzed(capsys, str(path))

        assert (report["requests"], report["routes"], report["findings"]) == (0, [], [])
        assert report["score"] == 1.0

    def test_a_cut_archive_counts_up_to_the_cut(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "log.jsonl.gz"
        path.write_bytes(gzip.compress(DATED.text)[:-20])
        report = analyzed(capsys, str(path))

        assert "cut short" in report["bad_lines"][-1]["why"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["no-such-file.jsonl"], "cannot be read"),
            (["{log}", "--html", "no/such/folder/x.html"], "folder does not exist"),
            (["{log}", "--rules", "no-such.toml"], "rules cannot be read"),
        ],
    )
    def test_what_cannot_be_done_is_one_line(
        self, log: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
    ) -> None:
        filled = [one.replace("{log}", str(log)) for one in arguments]
        assert main(["prompts", "analyze", *filled]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1

    def test_an_empty_log(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "log.jsonl"
        path.write_bytes(b"\n\n")
        assert main(["prompts", "analyze", str(path)]) == 2
        assert "is empty" in capsys.readouterr().err

    def test_an_unknown_provider_is_measured_only(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "log.jsonl"
        usage = {"usage": {"input_tokens": 10, "cache_read_input_tokens": 90}}
        path.write_bytes(line(provider="unknown", response=usage) * 2)
        (route,) = analyzed(capsys, str(path))["routes"]

        assert route["simulated"] is None
        assert route["reported"]["read_tokens"] == 180
        assert "no rule" in route["notes"][0]


class TestCheck:
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def write(self, seed: Seed) -> list[str]:
        """The seed's first and second request, as two files."""
        for name, one in zip(("a.json", "b.json"), seed.lines, strict=True):
            Path(name).write_text(json.dumps(one["request"]))
        return ["a.json", "b.json"]

    @pytest.mark.parametrize("dialect", ["chat", "responses", "messages", "gemini"])
    def test_a_change_is_reported_with_its_place(
        self, capsys: pytest.CaptureFixture[str], dialect: str
    ) -> None:
        seed = SEEDS["iso date", dialect]
        files = self.write(seed)
        check = ["prompts", "check", *files]
        assert main([*check, "--update"]) == 0
        assert main(check) == 0
        Path("a.json").write_text(json.dumps(seed.lines[1]["request"]))
        capsys.readouterr()

        assert main(check) == 1
        out = capsys.readouterr().out
        assert out.startswith("a.json: differs from its snapshot at ")
        assert seed.pointer in out
        assert main([*check, "--json"]) == 1
        (change,) = json.loads(capsys.readouterr().out)["changes"]
        assert change["pointer"] == seed.pointer
        assert change["byte"] <= (seed.byte or 0) < change["byte"] + 256
        assert SECRET not in Path("prompts.lock.json").read_text()

    def test_new_and_gone_prompts(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.write(DATED)
        assert main(["prompts", "check", "--update", "a.json"]) == 0
        assert main(["prompts", "check", "b.json"]) == 1
        out = capsys.readouterr().out
        assert "a.json: gone" in out
        assert "b.json: new" in out

    def test_what_cannot_be_checked_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("bad.json").write_text("{")
        Path("odd.json").write_text("{}")
        self.write(DATED)
        for arguments in (["bad.json"], ["odd.json"], ["none.json"], ["a.json"]):
            assert main(["prompts", "check", *arguments]) == 2
            assert capsys.readouterr().err.count("\n") == 1
