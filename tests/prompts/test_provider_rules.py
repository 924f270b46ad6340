"""The provider rules that ship, and a user's laid over them."""

import re
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

from askonce.core.errors import ConfigError
from askonce.prompts.provider.rule_files import load_rules
from askonce.prompts.provider.rules import ProviderRule, RuleBook, Section

BOOK = load_rules()
RULES = list(BOOK.rules())


def rule_of(provider: str, model: str, book: RuleBook = BOOK) -> ProviderRule:
    found = book.rule(provider, model)
    assert found is not None
    return found


def rule_id(rule: ProviderRule) -> str:
    return f"{rule.provider}:{rule.models[0]}"


@pytest.mark.parametrize("rule", RULES, ids=rule_id)
def test_every_rule_has_a_source_and_a_date(rule: ProviderRule) -> None:
    assert len(rule.source) > 10
    assert re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", rule.date)


@pytest.mark.parametrize("rule", RULES, ids=rule_id)
def test_every_rule_is_consistent(rule: ProviderRule) -> None:
    assert rule.min_tokens >= 1
    assert rule.quantum >= 1
    assert 0 <= rule.read < 1
    assert all(life.seconds > 0 and life.write >= 1 for life in rule.ttls.values())
    assert set(rule.invalidators.values()) <= set(get_args(Section))
    assert rule.invalidators["model"] == "tools"
    charges_for_writes = any(life.write > 1 for life in rule.ttls.values())
    assert (rule.matching == "breakpoint") == charges_for_writes == (rule.max_writes > 0)


def test_all_providers_of_the_reference_are_there() -> None:
    assert set(BOOK.providers) == {
        *("openai", "azure", "anthropic", "bedrock", "gemini", "vertex", "deepseek", "xai"),
        *("mistral", "groq", "openrouter", "vllm", "sglang"),
    }


def test_what_no_primary_source_confirms_is_marked() -> None:
    assert rule_of("anthropic", "claude-opus-4-7").confidence == "low"  # 2,048 or 4,096
    assert rule_of("anthropic", "claude-fable-5-2").confidence == "low"
    assert rule_of("openai", "gpt-5.6-sol").confidence == "low"  # the price of 12h
    assert rule_of("xai", "grok-4.7").confidence == "low"
    assert rule_of("gemini", "gemini-3-pro").confidence == "low"
    assert rule_of("anthropic", "claude-opus-5").confidence == "high"


@pytest.mark.parametrize(
    ("provider", "model", "minimum"),
    [
        ("anthropic", "claude-opus-5-5", 512),
        ("anthropic", "claude-opus-5-20260801", 512),
        ("anthropic", "claude-haiku-5-5", 512),
        ("anthropic", "claude-sonnet-5", 1024),
        ("anthropic", "claude-sonnet-4-20250514", 1024),
        ("anthropic", "claude-opus-4-7", 2048),
        ("bedrock", "us.anthropic.claude-opus-4-7-v1:0", 4096),
        ("anthropic", "claude-haiku-4-5-20251001", 4096),
        ("vertex", "claude-opus-4-6@20260115", 4096),
        ("vertex", "gemini-2.5-pro", 2048),
        ("gemini", "models/gemini-3.1-pro-preview", 4096),
        ("openai", "gpt-6.1-terra", 1024),
        ("deepseek", "deepseek-v4-pro", 64),
    ],
)
def test_minimum(provider: str, model: str, minimum: int) -> None:
    assert rule_of(provider, model).min_tokens == minimum


def test_prices_of_reading() -> None:
    reads = {
        ("openai", "gpt-5.6-sol"): "0.1",
        ("openai", "gpt-6.1-sol"): "0.05",
        ("openai", "gpt-4.1-mini"): "0.25",
        ("openai", "gpt-4o"): "0.5",
        ("anthropic", "claude-sonnet-5-5"): "0.05",
        ("anthropic", "claude-mythos-5-1"): "0.025",
        ("gemini", "gemini-4-argon"): "0.05",
        ("groq", "openai/gpt-oss-120b"): "0.5",
        ("deepseek", "deepseek-v4-pro"): "0.033",
    }
    assert {key: rule_of(*key).read for key in reads} == {
        key: Decimal(read) for key, read in reads.items()
    }


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-7"),
        ("openai", "gpt-6.1-luna"),
        ("anthropic", "claude-opus-6"),
        ("anthropic", "claude-fable-5-9"),
        ("unknown", "gpt-5.6"),
        ("mistral", ""),
    ],
)
def test_an_unknown_model_has_no_rule(provider: str, model: str) -> None:
    assert BOOK.rule(provider, model) is None


def test_a_provider_goes_by_its_names_and_its_hosts() -> None:
    assert BOOK.provider("AWS_Bedrock") == "bedrock"
    assert BOOK.provider("https://api.anthropic.com/v1") == "anthropic"
    assert BOOK.provider("https://mine.openai.azure.com:443") == "azure"
    assert BOOK.provider("https://evil.example/api.openai.com") is None
    assert BOOK.provider("") is None


def test_openai_reads_a_shorter_prefix_only_before_5_6() -> None:
    assert rule_of("openai", "gpt-5.4").matching == "prefix"
    assert rule_of("openai", "gpt-5.6-sol").matching == "breakpoint"
    assert rule_of("anthropic", "claude-opus-5").matching == "breakpoint"


def test_a_users_file_overrides_the_shipped_ones() -> None:
    text = """
        provider = "anthropic"
        hosts = ["claude.example"]
        [[rules]]
        models = ["claude-opus-5"]
        min_tokens = 100
        ttls.5m = { seconds = 240, write = 1.1 }
        [[rules]]
        models = ["claude-*"]
        min_tokens = 200
        read = 0.2
    """
    book = RuleBook.read(_shipped(), {"mine.toml": text})
    changed, ours = (
        rule_of("anthropic", "claude-opus-5", book),
        rule_of("anthropic", "claude-opus-5"),
    )
    assert (changed.min_tokens, changed.read) == (100, Decimal("0.2"))
    assert changed.ttls["5m"].seconds == 240
    assert changed.ttls["1h"] == ours.ttls["1h"]
    assert changed.invalidators == ours.invalidators
    assert changed.source == "mine.toml: rules[1]"
    assert rule_of("anthropic", "claude-sonnet-5", book).min_tokens == 200
    assert book.provider("https://claude.example") == "anthropic"
    assert rule_of("openai", "gpt-5.4", book) == rule_of("openai", "gpt-5.4")


def test_a_user_may_add_a_model_and_a_provider() -> None:
    text = """
        provider = "house"
        [[rules]]
        models = ["house-*"]
        source = "our own measurements"
        date = "2026-11-20"
        min_tokens = 32
        matching = "prefix"
        automatic = "always"
        ttls.memory = { seconds = 60 }
        read = 0.3
        invalidators.model = "tools"
    """
    book = RuleBook.read(_shipped(), {"mine.toml": text})
    assert rule_of("house", "house-1", book).min_tokens == 32
    assert book.rule("house", "other") is None
    more = text.replace('"house"', '"openai"').replace("house-*", "gpt-7*")
    book = RuleBook.read(_shipped(), {"mine.toml": more})
    assert rule_of("openai", "gpt-7-sol", book).read == Decimal("0.3")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("provider = ", "Invalid value"),
        ("rules = []", "provider"),
        ('provider = "openai"\nrule = 1', "rule"),
        ('provider = "openai"\n[[rules]]\nread = 0.1', "models"),
        ('provider = "openai"\n[[rules]]\nmodels = ["a"]\nreads = 0.1', "reads"),
        ('provider = "openai"\n[[rules]]\nmodels = ["a"]\nread = "much"', "decimal"),
        ('provider = "openai"\n[[rules]]\nmodels = ["a"]\nread = -0.1', "at least 0"),
        ('provider = "openai"\n[[rules]]\nmodels = ["a"]\nread = nan', "at least 0"),
        ('provider = "openai"\n[[rules]]\nmodels = ["a"]\nquantum = 0', "at least 1"),
        ('provider = "openai"\n[[rules]]\nmodels = ["a"]\nttls = "5m"', "object"),
        ('provider = "openai"\n[[rules]]\nmodels = ["a"]\nttls.5m = 300', "object"),
        ('provider = "new"\n[[rules]]\nmodels = ["a"]\nread = 0.1', "min_tokens"),
        ('provider = "openai"\n[[rules]]\nmodels = ["a"]\ninvalidators.x = "roof"', "roof"),
    ],
)
def test_a_wrong_file_is_reported_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"mine\.toml.*{says}"):
        RuleBook.read(_shipped(), {"mine.toml": text})


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_rules([tmp_path / "none.toml"])
    mine = tmp_path / "mine.toml"
    mine.write_text('provider = "groq"\n[[rules]]\nmodels = ["*"]\nmin_tokens = 7\n')
    assert rule_of("groq", "kimi-k2-0905", load_rules([mine])).min_tokens == 7


def _shipped() -> dict[str, str]:
    folder = Path(__file__).parents[2] / "src" / "askonce" / "prompts" / "rules"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.toml"))}
