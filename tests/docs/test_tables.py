"""What the docs list is what the code has: reasons, settings, members, headers, metrics, files."""

import re
import subprocess
import sys
import tomllib

import askonce
from askonce.config.settings import ROUTES, Settings
from askonce.config.show import masked
from askonce.core.directives import OWN_HEADERS
from askonce.core.keys import CACHE_MARKERS, VERSION, key_of
from askonce.core.models import Outcome, Reason
from askonce.core.request_headers import (
    COUNTED,
    CREDENTIALS,
    DROPPED,
    HARMLESS,
    INFRASTRUCTURE_COOKIES,
)
from askonce.formats import BY_NAME
from askonce.gateway.metrics import Latencies, metrics
from askonce.ledger.ledger import LayerStats, Stats
from askonce.prompts.analyzer.causes import FIXES, Cause
from askonce.semantic.guards import GUARDS
from tests.docs.pages import PAGES, ROOT, read, rows, words

SOURCE = ROOT / "src" / "askonce"


def first_words(page: str, heading: str) -> list[str]:
    return [word for row in rows(page, heading) for word in words(row[0])]


def test_every_reason_is_documented_once_and_nothing_else_is() -> None:
    assert sorted(first_words("docs/reference/reasons.md", "word")) == sorted(Reason)


def test_every_outcome_is_documented_once_and_nothing_else_is() -> None:
    assert sorted(first_words("docs/reference/reasons.md", "outcome")) == sorted(Outcome)


def test_every_guard_is_documented_once_and_nothing_else_is() -> None:
    assert first_words("docs/guides/semantic.md", "word") == [reason.value for reason, _ in GUARDS]
    assert "Nineteen small rules" in read("docs/guides/semantic.md")
    assert len(GUARDS) == 19


def test_every_cause_of_a_lost_prompt_cache_is_documented_once() -> None:
    assert sorted(first_words("docs/guides/prompts.md", "cause")) == sorted(Cause)
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
    for key, default, _ in rows("docs/reference/configuration.md", "key"):
        listed[words(key)[0]] = tomllib.loads(f"value = {words(default)[0]}")["value"]

    defaults = {}
    for section, table in masked(Settings()).items():
        for key, value in table.items():
            for path, leaf in value.items() if isinstance(value, dict) else [("", value)]:
                defaults[".".join(filter(None, (section, key, path)))] = leaf
    assert listed == defaults


def test_routes_that_no_provider_can_take_are_named() -> None:
    page = " ".join(read("docs/reference/configuration.md").split())

    assert ", ".join(f"`{route}`" for route in ROUTES) in page


def test_members_that_do_not_count_are_listed_for_each_format() -> None:
    for name, members in rows("docs/how-it-works/keys.md", "format"):
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
    assert first_words("docs/how-it-works/keys.md", "format") == list(BY_NAME)


def test_headers_and_markers_of_the_key_are_listed() -> None:
    page = read("docs/how-it-works/keys.md")

    assert set(words(page)) >= CACHE_MARKERS


def test_every_header_that_does_not_count_is_listed_and_no_other_is() -> None:
    page = "docs/how-it-works/keys.md"
    harmless = [name for _, names in rows(page, "harmless headers") for name in words(names)]
    assert harmless == list(HARMLESS)
    others = [words(names) for _, _, names in rows(page, "other headers")]
    assert others == [list(COUNTED), list(CREDENTIALS), list(DROPPED)]
    ((_, cookies),) = rows(page, "cookies of infrastructure")
    assert words(cookies) == list(INFRASTRUCTURE_COOKIES)


def test_the_version_of_keys_is_the_documented_one() -> None:
    (row,) = [one for one in rows("docs/how-it-works/keys.md", "part") if one[0] == "version"]
    assert words(row[1]) == [VERSION.decode()]


def test_every_header_of_ours_is_documented() -> None:
    shown = " ".join(first_words("docs/guides/freshness.md", "header")).lower()

    assert all(f"{header}:" in shown for header in OWN_HEADERS)


def test_every_metric_is_documented_and_nothing_else_is() -> None:
    latencies = Latencies()
    latencies.add(Outcome.MISS, 1.0)
    gauges = {"memory_bytes": ("", 0), "coherent": ("", 1), "flights": ("", 0)}
    layers = {"redis": LayerStats(1, 1, 1, "closed")}
    text = metrics(Stats(layers=layers), latencies, gauges, {"shop": "down"}).decode()
    real = set(re.findall(r"^# TYPE (\w+)", text, flags=re.MULTILINE))

    listed = {word.partition("{")[0] for word in first_words("docs/guides/operating.md", "metric")}
    assert listed == real


def test_every_source_file_is_on_the_map() -> None:
    listed = first_words("docs/how-it-works/architecture.md", "file")

    packages = [path.parent for path in SOURCE.glob("*/__init__.py")]
    modules = [path for package in packages for path in package.glob("[!_]*.py")]
    folders = [path for package in packages for path in package.glob("[!_]*/")]
    names = [path.relative_to(SOURCE).as_posix() for path in modules]
    names += [f"{path.relative_to(SOURCE).as_posix()}/" for path in folders]
    assert sorted(listed) == sorted(names)


def test_every_file_that_a_page_names_exists() -> None:
    shape = re.compile(r"\w[\w.-]*(?:/[\w.-]+)+(?:\.\w+|/)")
    named = {
        word
        for page in PAGES
        if page.name != "CHANGELOG.md"
        for word in words(page.read_text(encoding="utf-8"))
        if shape.fullmatch(word)
    }

    places = (SOURCE, ROOT, ROOT / "packages" / "askonce-models" / "src")
    missing = [name for name in named if not any((place / name).exists() for place in places)]
    assert len(named) > 100
    assert missing == []


def test_every_exported_name_is_in_the_api_reference() -> None:
    page = read("docs/reference/api.md")

    assert sorted(re.findall(r"^::: askonce\.(\w+)$", page, re.MULTILINE)) == askonce.__all__


def test_the_messages_to_look_for_are_those_of_the_code() -> None:
    page = "docs/guides/troubleshooting.md"
    cells = [row[0] for heading in ("symptom", "message") for row in rows(page, heading)]
    messages = [word for cell in cells for word in words(cell) if word.count(" ") > 2]
    joined = re.compile(r"\"\s*\n\s*f?\"")
    source = "".join(joined.sub("", path.read_text("utf-8")) for path in SOURCE.rglob("*.py"))
    source = re.sub(r"\{[^{}]*\}|%s", "…", source)

    parts = [part.strip() for message in messages for part in message.split("…")]
    assert len(messages) > 5
    assert [part for part in parts if part not in source] == []


def test_commands_page_and_links_are_in_order() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.returncode == 0
