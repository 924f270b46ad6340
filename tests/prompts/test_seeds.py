"""Every seeded cause is found where it is, and nothing is found where nothing was lost."""

from collections import Counter

import pytest

from askonce.prompts.analyzer.analyzer import Analysis
from askonce.prompts.provider.rule_files import load_rules
from tests.prompts.clean_logs import clean
from tests.prompts.seeds import Seed, seeds

BOOK = load_rules()
SEEDS = seeds()
CLEAN = clean()


def analyzed(seed: Seed) -> Analysis:
    analysis = Analysis(BOOK)
    for line in seed.text.splitlines(keepends=True):
        analysis.add_line(line)
    analysis.finish()
    return analysis


def name(seed: Seed) -> str:
    return f"{seed.dialect}-{seed.name}".replace(" ", "-")


@pytest.mark.parametrize("seed", SEEDS, ids=name)
def test_a_seeded_cause_is_found_and_no_other(seed: Seed) -> None:
    analysis = analyzed(seed)

    (finding,) = analysis.findings.values()
    assert finding.cause == seed.cause
    example = finding.example
    assert example is not None
    if seed.pointer:
        assert example.pointer == seed.pointer
    if seed.byte is not None:
        assert example.byte == seed.byte
    assert example.lost > 0
    assert 0 < finding.mean_confidence <= 1
    assert finding.fix
    assert not analysis.bad


@pytest.mark.parametrize("seed", CLEAN, ids=name)
def test_a_clean_log_has_no_findings(seed: Seed) -> None:
    analysis = analyzed(seed)

    assert {str(one.cause): one.excerpt for one in analysis.findings.values()} == {}
    for route in analysis.routes.all:
        assert route.score > 0.9
        assert route.simulated.total == route.markers.total == route.layout.total


def test_each_dialect_has_thirty_causes_or_more() -> None:
    counts = Counter(seed.dialect for seed in SEEDS)

    assert len(counts) == 4
    assert min(counts.values()) >= 30
    assert len({seed.cause for seed in SEEDS}) >= 30
    assert len({(seed.dialect, seed.name) for seed in SEEDS}) == len(SEEDS)
