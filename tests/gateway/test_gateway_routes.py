"""Which provider a path means, and that the path arrives as it was written."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import openai
import pytest

from askonce.gateway.routes import has_dot_segments
from tests.gateway.stage import (
    CHAT,
    MESSAGES,
    Caller,
    Exchange,
    Puppet,
    gateway,
    is_answer,
    outcome_of,
    plain_request,
)

KEY = {"authorization": "Bearer sk-routes"}


@pytest.fixture(scope="module")
def two_providers() -> Iterator[tuple[Puppet, Puppet, str]]:
    """OpenAI's and Anthropic's puppets, and the gateway in front of both."""
    with (
        Puppet().served() as openai,
        Puppet().served() as anthropic,
        gateway(openai.url, {"ASKONCE_PROVIDERS__ANTHROPIC__BASE_URL": anthropic.url}) as url,
    ):
        yield openai, anthropic, url


class TestProviders:
    def test_each_format_has_its_route(self, caller: Caller) -> None:
        assert is_answer(caller.chat("Which route is this?"), "Which route is this?")
        assert caller.claude("Which route is this?").json()["type"] == "message"

    def test_a_named_route_and_the_plain_one_share_their_answers(self, caller: Caller) -> None:
        first = caller.chat("Is it the same door?")
        named = Caller(caller.http, f"{caller.url}/openai", caller.key)
        second = named.chat("Is it the same door?")

        assert [outcome_of(first), outcome_of(second)] == ["miss", "hit"]

    @pytest.mark.parametrize(
        ("method", "target", "headers", "whose"),
        [
            ("GET", "/v1/models", {}, "openai"),
            ("GET", "/v1/models", {"anthropic-version": "2023-06-01"}, "anthropic"),
            ("POST", "/v1/messages/count_tokens", {}, "anthropic"),
            ("POST", "/v1/embeddings", {}, "openai"),
            ("GET", "/anthropic/v1/models", {}, "anthropic"),
            ("GET", "/openai/v1/models", {"anthropic-version": "2023-06-01"}, "openai"),
            ("GET", "/openai/", {}, "openai"),
        ],
    )
    def test_who_is_asked(
        self,
        two_providers: tuple[Puppet, Puppet, str],
        method: str,
        target: str,
        headers: dict[str, str],
        whose: str,
    ) -> None:
        openai, anthropic, url = two_providers
        asked = {"openai": openai, "anthropic": anthropic}
        before = {name: len(puppet.seen) for name, puppet in asked.items()}

        assert plain_request(url, method, target, headers).status == 200

        after = {name: len(puppet.seen) for name, puppet in asked.items()}
        assert after == {**before, whose: before[whose] + 1}
        path = target.removeprefix("/openai").removeprefix("/anthropic")
        assert (asked[whose].last.method, asked[whose].last.target) == (method, path)

    @pytest.mark.parametrize("target", ["/", "/v1", "/v2/models", "/openai", "/unknown/v1/x", "*"])
    def test_an_unknown_path_is_one_clear_line(self, gateway_url: str, target: str) -> None:
        method = "OPTIONS" if target == "*" else "GET"
        answer = plain_request(gateway_url, method, target)

        assert answer.status == 404
        assert b'"code":"no-route"' in answer.body
        assert "providers answer on /v1/… and /openai/…, /anthropic/…".encode() in answer.body
        assert b"\n" not in answer.body

    def test_a_websocket_is_refused_clearly(self, gateway_url: str) -> None:
        headers = {
            **KEY,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
        }
        answer = plain_request(gateway_url, "GET", "/v1/realtime?model=m", headers)

        assert answer.status == 501
        assert b"connect to the provider directly" in answer.body

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH"])
    def test_other_methods_pass_through(
        self, puppet: Puppet, puppet_gateway: str, method: str
    ) -> None:
        answer = plain_request(puppet_gateway, method, f"{CHAT}/chatcmpl-1", KEY)

        assert answer.status == 200
        assert answer.values("cache-status") == ["askonce; fwd=bypass; detail=unknown-route"]
        assert (puppet.last.method, puppet.last.target) == (method, f"{CHAT}/chatcmpl-1")

    def test_a_known_path_with_another_method_passes_through(
        self, puppet: Puppet, puppet_gateway: str
    ) -> None:
        assert plain_request(puppet_gateway, "GET", MESSAGES, KEY).status == 200
        assert puppet.last.method == "GET"


TARGETS = [
    "/v1/files?a=b&a=c",
    "/v1/files/caf%C3%A9/%e2%98%83",
    "/v1/files/a%2Fb%2fc",
    "/v1//files///x",
    "/v1/files/x;y=1,2:3@4$5!6'7(8)9*",
    '/v1/files/"<>[]{}|^`\\',
    "/v1/files?q=%00%0d%0aHost:%20elsewhere&r=a+b%2Bc&empty=&=&&",
    "/v1/files/~user/%7Euser",
    "/v1/files?next=http://elsewhere.example/?x=/../..",
    "/v1/...",
    "/openai//elsewhere.example/x",
    "/openai/@elsewhere.example/x",
    "/openai/http://elsewhere.example/x",
]


class TestTargets:
    @pytest.mark.parametrize("target", TARGETS)
    def test_a_target_arrives_byte_for_byte(
        self, puppet: Puppet, puppet_gateway: str, target: str
    ) -> None:
        answer = plain_request(puppet_gateway, "GET", target, KEY)

        assert answer.status == 200
        assert puppet.last.target == target.removeprefix("/openai")
        assert puppet.last.values("host") == [urlsplit(puppet.url).netloc]

    def test_a_target_of_a_cached_endpoint_arrives_byte_for_byte(
        self, puppet: Puppet, puppet_gateway: str
    ) -> None:
        target = f"/openai{CHAT}?api-version=%32024&x=%c3%a9&x="

        assert plain_request(puppet_gateway, "POST", target, KEY, b"{}").status == 200
        assert puppet.last.target == target.removeprefix("/openai")

    def test_a_base_url_may_have_a_path(self, puppet: Puppet) -> None:
        with gateway(f"{puppet.url}/proxy/team%20a") as url:
            plain_request(url, "GET", "/v1/models?x=1", KEY)
            passed = puppet.last.target
            plain_request(url, "POST", CHAT, KEY, b"not json")
            asked = puppet.last.target

        assert passed == "/proxy/team%20a/v1/models?x=1"
        assert asked == f"/proxy/team%20a{CHAT}"

    def test_an_absolute_target_does_not_change_the_host(
        self, puppet: Puppet, puppet_gateway: str
    ) -> None:
        target = "http://elsewhere.example:81/v1/models"

        assert plain_request(puppet_gateway, "GET", target, KEY).status == 200
        assert puppet.last.target == "/v1/models"
        assert puppet.last.values("host") == [urlsplit(puppet.url).netloc]

    def test_nor_does_a_host_header(self, puppet: Puppet, puppet_gateway: str) -> None:
        headers = {"Host": "elsewhere.example", "X-Forwarded-Host": "elsewhere.example"}
        plain_request(puppet_gateway, "GET", "/v1/models", headers)

        assert puppet.last.values("host") == [urlsplit(puppet.url).netloc]

    @pytest.mark.parametrize(
        "target",
        [
            "/v1/../admin",
            "/openai/..",
            "/v1/./files",
            "/v1/%2e%2E/admin",
            "/v1/x%2f..%2fadmin",
            "/v1/..;/admin",
            "/v1/..;a=b/admin",
            "/v1/..%3b/admin",
            "/v1/..%5cadmin",
            "/v1/x\\..\\admin",
            "/openai/\\..\\",
            "/v1/%252e%252e/admin",
            "/v1/..%255cadmin",
            "/v1/.;/files",
            "/v1/%2e%2e%3bx/admin",
            "/v1/x%5C%2e%2e%5Cadmin",
        ],
    )
    def test_dot_segments_are_refused(
        self, puppet: Puppet, puppet_gateway: str, target: str
    ) -> None:
        answer = plain_request(puppet_gateway, "GET", target, KEY)

        assert answer.status == 400
        assert b'"code":"dot-segments"' in answer.body
        assert puppet.seen == []

    def test_dots_alone_are_no_dot_segments(self) -> None:
        assert not has_dot_segments(b"/v1/files/a..b/.hidden/x./...")
        assert not has_dot_segments(b"/v1/files/a..;b/x;..y/%2e%2ea/%252e.b")

    def test_a_redirect_is_the_callers_to_follow(self, puppet: Puppet, puppet_gateway: str) -> None:
        async def redirect(exchange: Exchange) -> None:
            await exchange.head(307, location="http://elsewhere.example/")
            await exchange.end()

        puppet.act = redirect
        answer = plain_request(puppet_gateway, "GET", "/v1/files/f/content", KEY)

        assert (answer.status, answer.values("location")) == (307, ["http://elsewhere.example/"])


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Bad\x00Name: 1",
        b"GET /v1/mo dels HTTP/1.1\r\nHost: x",
        b"CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: elsewhere.example:443",
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Split: a\rSet-Cookie: b",
    ],
    ids=["smuggling", "name", "space", "connect", "bare-cr"],
)
def test_what_is_not_http_never_reaches_a_provider(
    puppet: Puppet, puppet_gateway: str, head: bytes
) -> None:
    address = urlsplit(puppet_gateway)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(head + b"\r\n\r\n0\r\n\r\n")
        answer = connection.recv(65_536)

    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))
    assert puppet.seen == []


FOREIGN = [
    "/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
    "/v1/models/gemini-3:generateContent",
    "/v1/models/gemini-3:streamGenerateContent?alt=sse",
    "/v1/publishers/google/models/gemini-3:rawPredict",
    "/v1beta/models/gemini-3:generateContent",
    "/v1beta/models",
    "/v1alpha/cachedContents",
    "/v1beta1/projects/p/locations/l/endpoints/e/chat/completions",
    "/v1/projects/p/locations/l/publishers/google/models/m:predict",
    "/api/chat",
    "/api/generate",
    "/model/anthropic.claude/converse",
    "/model/anthropic.claude/invoke-with-response-stream",
    "/v2/chat",
]


@pytest.mark.parametrize("target", FOREIGN)
def test_a_path_of_another_providers_api_never_reaches_the_default_provider(
    two_providers: tuple[Puppet, Puppet, str], target: str
) -> None:
    openai, anthropic, url = two_providers
    before = len(openai.seen) + len(anthropic.seen)
    refused = plain_request(url, "POST", target, KEY | {"api-key": "k"}, b"{}")
    assert refused.status == 404
    assert b"configure a provider with base_url = " in refused.body
    assert f"/PROVIDER{target.partition('?')[0]}".encode() in refused.body
    assert len(openai.seen) + len(anthropic.seen) == before


@pytest.mark.parametrize(
    "target", ["/v1/models/ft:gpt-4o:acme::predict1", "/v1/files/a:b", "/v1/models/a:latest"]
)
def test_a_colon_alone_makes_no_other_api(
    two_providers: tuple[Puppet, Puppet, str], target: str
) -> None:
    openai, _, url = two_providers
    plain_request(url, "GET", target, KEY)
    assert openai.last.target == target


def test_behind_its_own_provider_such_a_path_arrives(puppet: Puppet) -> None:
    more = f"""
        [providers.gemini]
        base_url = "{puppet.url}"
        format = "openai"
        [providers.api]
        base_url = "{puppet.url}"
        format = "openai"
    """
    with gateway(puppet.url, more=more) as url:
        for target in ("/gemini/v1beta/models/g:generateContent", "/api/chat"):
            plain_request(url, "POST", target, KEY, b"{}")
            assert puppet.last.target == "/" + target[1:].partition("/")[2]


async def says_yes(exchange: Exchange) -> None:
    message = {"role": "assistant", "content": "Yes."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt"}
    await exchange.head(content_type="application/json")
    await exchange.end(json.dumps({**answer, "choices": [choice]}).encode())


def test_azures_sdk_is_cached_behind_a_provider_of_its_own(puppet: Puppet) -> None:
    puppet.act = says_yes
    more = f"""
        [providers.azure]
        base_url = "{puppet.url}"
        format = "openai"
    """
    with gateway(puppet.url, more=more) as url:
        client = openai.AzureOpenAI(
            azure_endpoint=f"{url}/azure", api_key="k", api_version="2024-10-21", max_retries=0
        )
        asked = {"model": "gpt", "messages": [{"role": "user", "content": "Azure?"}]}
        before = len(puppet.seen)
        for _ in range(2):
            answer = client.chat.completions.create(**asked)  # type: ignore[call-overload]
            assert answer.choices[0].message.content == "Yes."
        assert len(puppet.seen) - before == 1
        target = "/openai/deployments/gpt/chat/completions?api-version=2024-10-21"
        assert puppet.last.target == target
        client.close()


def test_an_azure_address_named_openai_keeps_azures_paths(puppet: Puppet) -> None:
    from askonce.config.load import load
    from askonce.gateway.routes import Routes

    settings = load(
        '[providers.openai]\nbase_url = "https://acme.openai.azure.com"\nformat = "openai"', {}
    )
    path = b"/openai/deployments/gpt/chat/completions"
    route = Routes(settings).route(path, {})
    assert route is not None
    assert (route.provider.name, route.path) == ("openai", path)
