"""What the docs list is what the code has: reasons, settings, members, headers, metrics, files."""

import re
import subprocess
import sys
import tomllib

from askonce.config.settings import ROUTES, Settings
from askonce.config.show import masked
from askonce.core.directives import OWN_HEADERS
from askonce.core.keys import CACHE_MARKERS, HEADERS_THAT_MATTER, key_of
from askonce.core.models import Outcome, Reason
from askonce.formats import BY_NAME
from askonce.gateway.metrics import Latencies, metrics
from askonce.ledger.ledger import LayerStats, Stats
from askonce.prompts.analyzer.causes import FIXES, Cause
from askonce.semantic.guards import GUARDS
from tests.docs.pages import ROOT, read, rows, words

SOURCE = ROOT / "src" / "askonce"


def first_words(page: str, heading: str) -> list[str]:
    return [word for row in rows(page, heading) for word in words(row[0])]


def test_every_reason_is_documented_once_and_nothing_else_is() -> None:
    assert sorted(first_words("docs/reasons.md", "word")) == sorted(Reason)


def test_every_outcome_is_documented_once_and_nothing_else_is() -> None:
    assert sorted(first_words("docs/reasons.md", "outcome")) == sorted(Outcome)


def test_every_guard_is_documented_once_and_nothing_else_is() -> None:
    assert first_words("docs/semantic.md", "word") == [reason.value for reason, _ in GUARDS]
    assert "Nineteen small rules" in read("docs/semantic.md")
    assert len(GUARDS) == 19


def test_every_cause_of_a_lost_prompt_cache_is_documented_once() -> None:
    assert sorted(first_words("docs/prompts.md", "cause")) == sorted(Cause)
    assert set(FIXES) == set(Cause)


def test_the_readme_explains_with_words_that_exist() -> None:
    never_cached = [word for row in rows("README.md", "what") for word in words(row[-1])]

    assert len(never_cached) > 10
    assert set(never_cached) <= set(Reason)


def test_the_readme_shows_details_that_exist() -> None:
    details = set(re.findall(r"detail=([a-z-]+)", read("README.md")))

    assert {"memory", "shared", "joined", "stale"} <= details
    assert details <= {*Reason, *Outcome}


def test_every_setting_is_listed_with_its_default() -> None:
    listed = {}
    for key, default, _ in rows("docs/configuration.md", "key"):
        listed[words(key)[0]] = tomllib.loads(f"value = {words(default)[0]}")["value"]

    defaults = {}
    for section, table in masked(Settings()).items():
        for key, value in table.items():
            for path, leaf in value.items() if isinstance(value, dict) else [("", value)]:
                defaults[".".join(filter(None, (section, key, path)))] = leaf
    assert listed == defaults


def test_routes_that_no_provider_can_take_are_named() -> None:
    page = " ".join(read("docs/configuration.md").split())

    assert ", ".join(f"`{route}`" for route in ROUTES) in page


def test_members_that_do_not_count_are_listed_for_each_format() -> None:
    for name, members in rows("docs/keys.md", "format"):
        (known,) = words(name)
        base = {
            "model": "m",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": "Why?"}],
        }
        plain = key_of("n", known, BY_NAME[known].read(base).asked)
        for member in words(members):
            value = {"include_usage": True} if member == "stream_options" else True
            changed = key_of("n", known, BY_NAME[known].read({**base, member: value}).asked)
            assert changed == plain, member
    assert first_words("docs/keys.md", "format") == list(BY_NAME)


def test_headers_and_markers_of_the_key_are_listed() -> None:
    page = read("docs/keys.md")

    assert {*HEADERS_THAT_MATTER, *CACHE_MARKERS} <= set(words(page))


def test_every_header_of_ours_is_documented() -> None:
    shown = " ".join(first_words("docs/freshness.md", "header")).lower()

    assert all(f"{header}:" in shown for header in OWN_HEADERS)


def test_every_metric_is_documented_and_nothing_else_is() -> None:
    latencies = Latencies()
    latencies.add(Outcome.MISS, 1.0)
    gauges = {"memory_bytes": ("", 0), "coherent": ("", 1), "flights": ("", 0)}
    layers = {"redis": LayerStats(1, 1, 1, "closed")}
    text = metrics(Stats(layers=layers), latencies, gauges, {"shop": "down"}).decode()
    real = set(re.findall(r"^# TYPE (\w+)", text, flags=re.MULTILINE))

    listed = {word.partition("{")[0] for word in first_words("docs/operating.md", "metric")}
    assert listed == real


def test_every_source_file_is_on_the_map() -> None:
    listed = set(first_words("docs/architecture.md", "file"))

    top = {path.name for path in SOURCE.glob("[!_]*.py")}
    packages = {f"{path.parent.name}/" for path in SOURCE.glob("*/__init__.py")}
    assert listed == top | packages


def test_commands_page_and_links_are_in_order() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.returncode == 0
