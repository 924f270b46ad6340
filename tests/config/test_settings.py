"""The settings: what can be written, what it means, and what is said about everything else."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.config.load import load
from askonce.config.settings import Provider, Settings, Tenant
from askonce.config.show import show
from askonce.core import printers
from askonce.core.errors import ConfigError
from askonce.core.models import Reason
from askonce.core.printers import masked_key, masked_url
from askonce.core.values import duration, fraction, size

CONTRACT = """
[gateway]
host = "0.0.0.0"
port = 8080
[store]
url = "memory:"
[memory]
size = "64 MB"
eviction = "gdsf"
[cache]
ttl = "1h30m"
stale_while_revalidate = "5m"
stale_if_error = 7200
sampling = "pool:3"
also_store = ["length"]
[providers.openai]
base_url = "https://eu.api.openai.com/v1/"
format = "openai"
[providers.local]
base_url = "http://localhost:8000/llm/v1"
format = "openai"
[tenants.acme]
keys = ["sk-acme-0123456789-abcdef", "sk-acme-2"]
upstream_key = "sk-upstream-0123456789-secret"
"""


def complaint(text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, environ or {}, "my.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_written_means_the_defaults() -> None:
    settings = load("", {})
    assert settings == Settings()
    assert (settings.gateway.host, settings.gateway.port) == ("127.0.0.1", 4040)
    assert settings.store.url == "sqlite:askonce.db"
    assert settings.cache.limits.ttl == timedelta(hours=24).total_seconds()
    assert settings.memory.size == 256 * 1024 * 1024
    assert list(settings.providers) == ["openai", "anthropic"]


def test_every_section_is_read_into_precise_values() -> None:
    settings = load(CONTRACT, {})
    assert settings.gateway.port == 8080
    assert (settings.memory.size, settings.memory.eviction) == (64_000_000, "gdsf")
    assert settings.cache.limits.ttl == timedelta(minutes=90).total_seconds()
    assert settings.cache.limits.stale_if_error == timedelta(hours=2).total_seconds()
    assert settings.cache.limits.also_store == {Reason.LENGTH}
    assert settings.tenants["acme"].keys == ("sk-acme-0123456789-abcdef", "sk-acme-2")


def test_the_request_path_gets_the_same_limits() -> None:
    limits = load(CONTRACT, {}).cache.limits
    assert (limits.ttl, limits.stale_while_revalidate, limits.stale_if_error) == (5400, 300, 7200)
    assert (limits.pool, limits.also_store) == (3, frozenset({Reason.LENGTH}))


@pytest.mark.parametrize(("word", "samples"), [("bypass", 0), ("reuse", 1), ("pool:12", 12)])
def test_sampling_is_the_number_of_kept_answers(word: str, samples: int) -> None:
    assert load(f'[cache]\nsampling = "{word}"', {}).cache.limits.pool == samples


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://api.openai.com", "https://api.openai.com"),
        ("https://api.openai.com/v1", "https://api.openai.com"),
        ("https://api.openai.com/v1/", "https://api.openai.com"),
        ("http://10.0.0.1:8000/llm/v1//", "http://10.0.0.1:8000/llm"),
        ("https://example.com/v10", "https://example.com/v10"),
    ],
)
def test_a_base_url_is_what_stands_before_v1(written: str, meant: str) -> None:
    settings = load("", {"ASKONCE_PROVIDERS__OPENAI__BASE_URL": written})
    assert settings.providers["openai"].base_url == meant


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "example.com",
        "https://",
        "https://me:secret@example.com",
        "https://example.com?key=secret",
        "https://example.com:99999",
        "https://[::1",
    ],
)
def test_another_address_is_refused_without_repeating_it(url: str) -> None:
    said = complaint(f'[providers.openai]\nbase_url = "{url}"')
    assert said.startswith("my.toml: providers.openai.base_url is not a plain http://")
    assert "secret" not in said


def test_configured_providers_add_to_the_defaults() -> None:
    settings = load(CONTRACT, {})
    assert list(settings.providers) == ["openai", "anthropic", "local"]
    assert settings.providers["openai"].base_url == "https://eu.api.openai.com"
    assert settings.provider_for("openai") == settings.providers["openai"]
    assert settings.provider_for("other") is None


def test_the_first_of_a_format_serves_it_when_none_is_named_like_it() -> None:
    text = '[providers.openai]\nformat = "anthropic"\n'
    text += '[providers.b]\nbase_url = "http://b"\nformat = "openai"\n'
    expected = Provider(name="b", base_url="http://b", format="openai")
    assert load(text, {}).provider_for("openai") == expected


def test_the_environment_overrides_the_file() -> None:
    environ = {
        "ASKONCE_GATEWAY__PORT": "5000",
        "ASKONCE_CACHE__ALSO_STORE": "length, refusal",
        "ASKONCE_TENANTS__ACME__KEYS": "a,b",
        "ASKONCE_PROVIDERS__NEW__BASE_URL": "http://new",
        "ASKONCE_PROVIDERS__NEW__FORMAT": "anthropic",
        "PATH": "/bin",
        "ASKONCE_HOME": "not ours",
    }
    settings = load(CONTRACT, environ)
    assert settings.gateway.port == 5000
    assert settings.cache.limits.also_store == {Reason.LENGTH, Reason.REFUSAL}
    assert settings.tenants["acme"].keys == ("a", "b")
    assert settings.providers["new"].format == "anthropic"
    assert settings.origins["gateway.port"] == "ASKONCE_GATEWAY__PORT"
    assert settings.origins["gateway.host"] == "askonce.toml"
    assert "gateway.drain" not in settings.origins


def test_a_variable_finds_a_name_with_case_dots_and_dashes() -> None:
    text = '[tenants."Team-A.eu"]\nkeys = ["a"]\n'
    settings = load(text, {"ASKONCE_TENANTS__TEAM_A_EU__KEYS": "b"})
    assert settings.tenants["Team-A.eu"].keys == ("b",)
    assert list(settings.tenants) == ["Team-A.eu"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[cache", "my.toml: is not TOML: "),
        ("[cahce]\nttl = 1", 'my.toml: cahce is not a section; did you mean "cache"?'),
        (
            "[cache]\ntll = 1",
            """my.toml: cache.tll 'tll' is not a key of cache; did you mean "ttl"?""",
        ),
        ("cache = 1", "my.toml: cache is not a table; write [cache] and its keys"),
        ("[providers]\nopenai = 1", "my.toml: providers.openai is not a table; write [providers."),
        ("[[tenants]]\nkeys = []", "my.toml: tenants is not a table; write [tenants.NAME]"),
        ('[cache]\nttl = "24x"', "my.toml: cache.ttl is not a duration: '24x' (write"),
        ("[ledger]\nkeep_days = 0", "my.toml: ledger.keep_days must be above zero"),
        ("[ledger]\nrows = 1.5", "my.toml: ledger.rows is not a whole number: 1.5"),
        ("[ledger]\nstorage_price = -1", "my.toml: ledger.storage_price is not a price: -1"),
        ("[ledger]\nembedding_price = 'x'", "my.toml: ledger.embedding_price is not a price: 'x'"),
        ("[cache]\nttl = -1", "my.toml: cache.ttl is not a duration: '-1' (write"),
        ("[cache]\nttl = true", "my.toml: cache.ttl is not a duration: True; write one such as"),
        ("[cache]\nttl = nan", "my.toml: cache.ttl is not a duration: 'nan'"),
        ('[memory]\nsize = "1 MO"', "my.toml: memory.size is not a size: '1 MO' (write"),
        (f'[memory]\nsize = "{"9" * 400}"', "my.toml: memory.size is not a size"),
        ('[cache]\nmax_entry = "0 B"', "my.toml: cache.max_entry must be above zero"),
        (
            '[memory]\neviction = "lru"',
            """my.toml: memory.eviction cannot be 'lru'; write one of""",
        ),
        ('[cache]\nsampling = "pool:0"', "my.toml: cache.sampling cannot be 'pool:0'; write"),
        ('[cache]\nalso_store = ["filtered"]', "my.toml: cache.also_store cannot have 'filtered'"),
        ("[gateway]\nport = 65536", "my.toml: gateway.port is not a port: 65536; write"),
        ("[gateway]\nport = true", "my.toml: gateway.port is not a port: True; write"),
        ("[store]\nurl = 5", "my.toml: store.url is not a text: 5; write a text in quotes"),
        ('[providers.x]\nformat = "openai"', "my.toml: providers.x has no base_url; add"),
        ('[providers.x]\nbase_url = "http://x"', "my.toml: providers.x has no format; add"),
        ('[providers.v1]\nbase_url = "http://x"', "my.toml: providers.v1 is the name of a route"),
        ('[tenants."a b"]\nkeys = ["x"]', "my.toml: tenants.'a b' has a name that cannot be used"),
        ("[tenants.a]", "my.toml: tenants.a has no keys; add keys"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, expected: str) -> None:
    assert complaint(text).startswith(expected)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("ASKONCE_CAHCE__TTL", """'cahce' is not a section; did you mean "cache"?"""),
        ("ASKONCE_CACHE__TLL", """'tll' is not a key of cache; did you mean "ttl"?"""),
        ("ASKONCE_CACHE_TTL", "lacks an underscore; write ASKONCE_CACHE__TTL"),
        ("ASKONCE_CACHE__", "does not name a setting; write it as ASKONCE_CACHE__KEY"),
        ("ASKONCE_TENANTS__KEYS", "write it as ASKONCE_TENANTS__NAME__KEY"),
        ("ASKONCE_CACHE__TTL__X", "write it as ASKONCE_CACHE__KEY"),
        ("ASKONCE_CACHE__TTL", "is not a duration: '?'"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, expected: str) -> None:
    said = complaint("", {variable: "?"})
    assert said.startswith(f"environment: {variable} ")
    assert expected in said


def test_two_tenants_cannot_share_a_key_and_the_key_is_not_said() -> None:
    text = '[tenants.a]\nkeys = ["sk-shared"]\n[tenants.b]\nkeys = ["sk-b", "sk-shared"]\n'
    said = complaint(text)
    assert said.startswith("my.toml: tenants.b.keys has a key of tenants.a too")
    assert "sk-shared" not in said


def test_no_secret_is_shown() -> None:
    text = CONTRACT.replace('"memory:"', '"redis://me:hunter2@host/0?password=hunter3"')
    settings = load(text, {})
    for shown in (show(settings), repr(settings.tenants)):
        for secret in ("hunter2", "hunter3", "sk-acme-2", "0123456789"):
            assert secret not in shown
    assert "redis://me:***@host/0?password=***" in show(settings)


def test_what_is_shown_is_a_settings_file_that_means_the_same() -> None:
    settings = load(CONTRACT, {"ASKONCE_GATEWAY__PORT": "5000"})
    again = load(show(settings), {})
    for section in ("gateway", "store", "memory", "cache", "providers"):
        assert getattr(again, section) == getattr(settings, section)
    assert re.search(r"^port = 5000 +# ASKONCE_GATEWAY__PORT$", show(settings), re.MULTILINE)


@given(st.integers(min_value=0, max_value=10**12))
def test_a_duration_is_read_as_it_is_shown(milliseconds: int) -> None:
    length = timedelta(milliseconds=milliseconds)
    assert abs(duration(printers.duration(length)) - length) <= timedelta(microseconds=1)


@given(st.integers(min_value=0, max_value=2**50))
def test_a_size_is_read_as_it_is_shown(size_bytes: int) -> None:
    assert size(printers.size(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("written", "part"),
    [('"10%"', 0.1), ('"2.5 %"', 0.025), ("0.1", 0.1), ("0", 0), ('"90%"', 0.9), ('"0.5"', 0.5)],
)
def test_a_part_is_a_percentage_or_a_fraction(written: str, part: float) -> None:
    limits = load(f"[cache]\njitter = {written}", {}).cache.limits
    assert limits.jitter == pytest.approx(part)
    assert fraction(printers.fraction(limits.jitter)) == pytest.approx(part)


@pytest.mark.parametrize("written", ['"91%"', "1", "-0.1", '"ten"', "true", "nan", '"1e-3"', "[]"])
def test_what_is_no_part_says_so(written: str) -> None:
    assert complaint(f"[cache]\njitter = {written}").startswith(
        "my.toml: cache.jitter is not a part from 0% to 90%: "
    )


@pytest.mark.parametrize("written", ["-1", "101", "inf", '"often"', "true"])
def test_what_is_no_eagerness_says_so(written: str) -> None:
    assert complaint(f"[cache]\nrefresh_ahead = {written}").startswith(
        "my.toml: cache.refresh_ahead is not a number from 0 to 100: "
    )


def test_lifetimes_reach_the_request_path() -> None:
    text = '[cache]\nrefresh_ahead = 1\nnegative_ttl = "30s"\nexpire_on = "fingerprint"'
    limits = load(text, {"ASKONCE_CACHE__JITTER": "10%"}).cache.limits
    assert (limits.refresh_ahead, limits.jitter, limits.negative_ttl) == (1, 0.1, 30)
    assert limits.expire_on == "fingerprint"
    assert "cannot be 'sometimes'" in complaint('[cache]\nexpire_on = "sometimes"')


@given(st.text(min_size=1, max_size=19))
def test_a_short_key_is_masked_whole(key: str) -> None:
    assert masked_key(key) == "***"


def test_addresses_without_a_password_are_left_alone() -> None:
    for url in ("sqlite:askonce.db", "sqlite:/var/a@b.db", "redis://host:6379/0"):
        assert masked_url(url) == url


def test_a_tenant_never_prints_its_keys() -> None:
    assert "sk-1" not in repr(Tenant(name="a", keys=("sk-1",), upstream_key="sk-1"))


def test_the_example_file_holds_every_default() -> None:
    text = (Path(__file__).parents[2] / "askonce.toml.example").read_text(encoding="utf-8")
    example = load(text, {})
    assert msgspec.structs.replace(example, origins={}) == Settings()
    assert len(example.origins) == show(Settings()).count(" = ")


def test_the_admins_secrets_are_masked_and_never_repeated() -> None:
    hook = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    settings = load(f"[admin]\ntoken = 'a-token-of-enough-letters'\nwebhook_secret = '{hook}'", {})
    assert settings.admin.token == "a-token-of-enough-letters"
    for shown in (show(settings), repr(settings)):
        assert "enough" not in shown
        assert hook not in shown


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("token = 'too short'", "admin.token has fewer than 16 characters"),
        ("token = 'long enough but with spaces'", "cannot stand in a header"),
        ("webhook_secret = 'long-enough-but-no-secret'", "is not a webhook's secret"),
        (
            "webhook_secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'",
            "admin.webhook_secret stands without a token",
        ),
        ("token = 'sk-of-a-tenant-too'", "is a key of tenants.acme too"),
    ],
)
def test_an_admin_that_cannot_be(written: str, said: str) -> None:
    tenant = "[tenants.acme]\nkeys = ['sk-of-a-tenant-too']\n"
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        load(f"{tenant}[admin]\n{written}", {})
    assert written.split("'")[1] not in str(caught.value)


def test_the_ledger_s_prices_are_exact() -> None:
    settings = load("[ledger]\nstorage_price = 0.1", {"ASKONCE_LEDGER__EMBEDDING_PRICE": " 0.02 "})
    assert settings.ledger.storage_price == Decimal("0.1")
    assert settings.ledger.embedding_price == Decimal("0.02")
    assert load(show(settings), {}).ledger == settings.ledger
