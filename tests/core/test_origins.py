"""Which addresses are a provider's own, by the table of hosts and by settings."""

import pytest

from askonce.core.origins import OWN_HOSTS, Origins, normalized

OWN = [
    "https://api.openai.com",
    "https://API.openai.com:443",
    "https://eu.api.openai.com",
    "https://acme.openai.azure.com",
    "https://acme.cognitiveservices.azure.com",
    "https://acme.services.ai.azure.com/models",
    "https://api.anthropic.com",
    "https://generativelanguage.googleapis.com/v1beta/openai",
    "https://us-central1-aiplatform.googleapis.com",
    "https://aiplatform.googleapis.com",
]
FOREIGN = [
    "https://llm.example.com",
    "https://api.openai.com.example.com",
    "https://evilapi.openai.com",
    "https://api.openai.com@llm.example.com",
    "https://example.com/api.openai.com",
    "https://openai.azure.com",
    "https://a.b.openai.azure.com",
    "https://-aiplatform.googleapis.com",
    "https://storage.googleapis.com",
    "https://openrouter.ai/api",
    "https://api.x.ai",
    "http://localhost:8000",
    "http://[::1",
    "",
]


@pytest.mark.parametrize("origin", OWN)
def test_an_address_of_a_provider_is_its_own(origin: str) -> None:
    assert Origins().find(origin).is_own


@pytest.mark.parametrize("origin", FOREIGN)
def test_any_other_address_is_foreign(origin: str) -> None:
    assert not Origins().find(origin).is_own


@pytest.mark.parametrize("pattern", OWN_HOSTS)
def test_every_line_of_the_table_is_read(pattern: str) -> None:
    host = pattern.replace("*", "acme")
    assert Origins().find(f"https://{host}").is_own
    assert not Origins().find(f"https://{host}.example.com").is_own
    assert not Origins().find(f"https://example-{host}.org").is_own


def test_a_setting_decides_before_the_table() -> None:
    origins = Origins({"http://LLM.internal:80/": True, "https://api.openai.com": False})
    assert origins.find("http://llm.internal").is_own
    assert origins.find("http://llm.internal:80").is_own
    assert not origins.find("http://llm.internal:8080").is_own
    assert not origins.find("https://llm.internal").is_own
    assert not origins.find("https://api.openai.com").is_own


def test_the_longest_address_decides_and_a_path_may_stand_on_either_side() -> None:
    origins = Origins({"https://gate.example.com": False, "https://gate.example.com/own": True})
    assert origins.find("https://gate.example.com/own", "/v1/chat/completions").is_own
    assert origins.find("https://gate.example.com", "/own/v1/chat/completions").is_own
    assert not origins.find("https://gate.example.com", "/owner/v1/chat/completions").is_own
    assert not origins.find("https://gate.example.com", "/v1/chat/completions").is_own


def test_a_host_has_members_for_its_own_display() -> None:
    assert Origins().find("https://openrouter.ai/api").presentation == {"session_id", "trace"}
    assert Origins(ignored=["note"]).find("https://llm.example.com").presentation == {"note"}


def test_an_address_is_normalized() -> None:
    assert normalized("HTTPS://Api.Example.com:443/v1/") == "https://api.example.com/v1"
    assert normalized("http://h:99999") == "http://h:99999"
