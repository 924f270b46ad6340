"""Namespaces: no caller ever gets another caller's answer."""

from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cli.demo.provider.provider import DemoProvider
from askonce.core.directives import parse
from askonce.core.identity import CREDENTIALS, Identity
from tests.gateway.stage import (
    CHAT,
    Caller,
    Puppet,
    chat_body,
    gateway,
    is_answer,
    outcome_of,
    status_of,
)

TENANTS = """
    [tenants.acme]
    keys = ["sk-acme-1", "sk-acme-2"]
    upstream_key = "sk-upstream-of-acme"
    [tenants.globex]
    keys = ["sk-globex-1"]
"""


def ask(caller: Caller, question: str, headers: dict[str, str]) -> httpx2.Response:
    """A call with these headers and no other credential."""
    return caller.http.post(caller.url + CHAT, json=chat_body(question), headers=headers)


class TestCredentials:
    def test_two_credentials_never_share(self, caller: Caller) -> None:
        question = "Mine or yours?"
        ours = [caller.chat(question), caller.chat(question)]
        theirs = caller.with_key("sk-other").chat(question)

        assert [outcome_of(answer) for answer in [*ours, theirs]] == ["miss", "hit", "miss"]

    @pytest.mark.parametrize("name", CREDENTIALS)
    def test_the_same_secret_in_another_header_is_another_credential(
        self, caller: Caller, name: str
    ) -> None:
        question = f"In which header, {name}?"
        ask(caller, question, {"authorization": "Bearer sk-x", "x-note": name})
        value = "Basic sk-x" if name == "authorization" else "sk-x"

        assert outcome_of(ask(caller, question, {name: value})) == "miss"
        assert outcome_of(ask(caller, question, {name: value})) == "hit"

    def test_a_second_credential_makes_another_caller(self, caller: Caller) -> None:
        question = "With two keys?"
        both = {"authorization": "Bearer sk-x", "x-api-key": "sk-y"}

        assert outcome_of(ask(caller, question, {"authorization": "Bearer sk-x"})) == "miss"
        assert outcome_of(ask(caller, question, both)) == "miss"
        assert outcome_of(ask(caller, question, {"x-api-key": "sk-y"})) == "miss"

    def test_a_repeated_credential_is_not_its_last_line(self, caller: Caller) -> None:
        """The provider may go by the first line, so the last alone must not name the caller."""
        question = "Which line counts?"
        caller.with_key("sk-victim").chat(question)
        twice = [("authorization", "Bearer sk-thief"), ("authorization", "Bearer sk-victim")]
        stolen = caller.http.post(caller.url + CHAT, json=chat_body(question), headers=twice)

        assert outcome_of(stolen) == "miss"

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": ""},
            {"authorization": "Bearer"},
            {"x-api-key": ""},
            {"cookie": "__cf_bm=a"},
        ],
    )
    def test_without_a_credential_nothing_is_cached(
        self, caller: Caller, headers: dict[str, str]
    ) -> None:
        for _ in range(2):
            answer = ask(caller, "Who am I?", headers)

            assert is_answer(answer, "Who am I?")
            assert status_of(answer) == "askonce; fwd=bypass; detail=no-identity"


class TestTenants:
    @pytest.fixture
    def caller(self, http: httpx2.Client, provider_url: str) -> Iterator[Caller]:
        with gateway(provider_url, more=TENANTS) as url:
            yield Caller(http, url, "sk-acme-1")

    def test_the_keys_of_one_tenant_share_and_no_other_key_does(self, caller: Caller) -> None:
        question = "Whose tenant?"
        keys = ["sk-acme-1", "sk-acme-2", "sk-globex-1", "sk-unknown", "acme", "SK-ACME-1"]
        answers = [caller.with_key(key).chat(question) for key in keys]

        outcomes = [outcome_of(answer) for answer in answers]
        assert outcomes == ["miss", "hit", "miss", "miss", "miss", "miss"]

    def test_a_tenant_may_use_any_credential_header(self, caller: Caller) -> None:
        question = "Which header, tenant?"
        ask(caller, question, {"authorization": "Bearer sk-acme-1"})

        assert outcome_of(ask(caller, question, {"x-api-key": "sk-acme-2"})) == "hit"
        both = {"x-api-key": "sk-acme-2", "authorization": "Bearer sk-globex-1"}
        assert outcome_of(ask(caller, question, both)) == "miss"

    @pytest.mark.parametrize("path", [CHAT, "/v1/files"])
    @pytest.mark.parametrize("name", CREDENTIALS)
    def test_the_upstream_key_is_sent_and_the_callers_own_is_not(
        self, http: httpx2.Client, puppet: Puppet, path: str, name: str
    ) -> None:
        bearer = "Bearer " if name == "authorization" else ""
        with gateway(puppet.url, more=TENANTS) as url:
            body = chat_body("Which key goes up?")
            http.post(url + path, json=body, headers={name: f"{bearer}sk-acme-1"})

        assert puppet.last.values(name) == [f"{bearer}sk-upstream-of-acme"]
        assert "sk-acme-1" not in repr(puppet.last)

    def test_a_tenant_without_one_keeps_its_own_key(
        self, caller: Caller, provider: DemoProvider
    ) -> None:
        caller.with_key("sk-globex-1").chat("Whose key goes up?")

        assert provider.calls.last_headers["authorization"] == "Bearer sk-globex-1"

    def test_no_answer_shows_a_key(self, caller: Caller) -> None:
        answers = [caller.chat("Is the key secret?") for _ in range(2)]
        shown = [caller.http.get(caller.url + path).text for path in ("/metrics", "/askonce/stats")]

        for text in [*shown, *(answer.text + str(answer.headers) for answer in answers)]:
            assert "sk-upstream" not in text
            assert "sk-acme" not in text


class TestSubdivision:
    def test_it_divides_the_callers_own(self, caller: Caller) -> None:
        question = "Which part of me?"
        parts: list[dict[str, str]] = [
            {},
            {"askonce-namespace": "a"},
            {"askonce-namespace": "a"},
            {"askonce-namespace": "b"},
            {},
        ]
        outcomes = [outcome_of(caller.chat(question, headers=part)) for part in parts]
        other = caller.with_key("sk-other").chat(question, headers={"askonce-namespace": "a"})

        assert outcomes == ["miss", "miss", "hit", "miss", "hit"]
        assert outcome_of(other) == "miss"

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "a~b", "é", "a,b", "x" * 129, "key:0"])
    def test_a_malformed_one_bypasses(self, caller: Caller, name: str) -> None:
        encoded = name.encode("latin-1")
        for _ in range(2):
            headers = {**caller.bearer, "askonce-namespace": encoded}
            answer = caller.http.post(
                caller.url + CHAT,
                json=chat_body("Is it a name?"),
                headers=headers,  # type: ignore[arg-type]
            )

            assert is_answer(answer, "Is it a name?")
            assert status_of(answer) == "askonce; fwd=bypass; detail=no-identity"

    def test_two_of_them_are_doubt(self, caller: Caller) -> None:
        headers = [*caller.bearer.items(), ("askonce-namespace", "a"), ("askonce-namespace", "b")]
        body = chat_body("Which of two?")
        answer = caller.http.post(caller.url + CHAT, json=body, headers=headers)

        assert status_of(answer) == "askonce; fwd=bypass; detail=no-identity"


# A small alphabet, so that parts which run into each other are found.
VALUES = st.text("ab:1~,0 ", max_size=6).map(str.strip)
HEADERS = st.dictionaries(st.sampled_from(CREDENTIALS), VALUES, max_size=4)
KEYS_OF = {"a": "t1", "b": "t1", "ab": "t2", "a1": "key", "1": "a", "0": "a-b"}
NAMES = st.one_of(st.none(), st.text("ab~-:.", max_size=4))


def whole_namespace(headers: dict[str, str], name: str | None) -> str | None:
    """The namespace as the request path makes it out of a caller and its subdivision."""
    directives = parse({} if name is None else {"askonce-namespace": name})
    namespace = Identity(b"p" * 32, KEYS_OF).namespace(headers)
    if namespace is None or directives.identity_in_doubt:
        return None
    return f"{namespace}~{directives.subdivision}" if directives.subdivision else namespace


def who(headers: dict[str, str]) -> object:
    """Who a caller is, in words: its tenant, or all that it showed."""
    shown = {name: value for name, value in headers.items() if value}
    tenants = {KEYS_OF.get(value) for value in shown.values()}
    return next(iter(tenants)) or shown if len(tenants) == 1 else shown


@given(HEADERS, NAMES, HEADERS, NAMES)
def test_two_callers_never_have_one_namespace(
    one: dict[str, str], part_of_one: str | None, two: dict[str, str], part_of_two: str | None
) -> None:
    first, second = whole_namespace(one, part_of_one), whole_namespace(two, part_of_two)
    if first is not None and second is not None:
        same = who(one) == who(two) and part_of_one == part_of_two
        assert (first == second) == same


@given(HEADERS, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_another_store_names_the_same_credential_differently(
    headers: dict[str, str], pepper: bytes, other: bytes
) -> None:
    namespace = Identity(pepper).namespace(headers)
    assert (namespace == Identity(other).namespace(headers)) == (pepper == other or not namespace)
