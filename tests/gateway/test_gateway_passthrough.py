"""What is not cached goes through byte for byte, both ways, and headers stay on their own hop."""

import gzip
import random
import socket
import threading

import httpx2
import pytest

from tests.gateway.stage import (
    CHAT,
    Caller,
    Exchange,
    Puppet,
    gateway,
    is_answer,
    outcome_of,
    plain_request,
    status_of,
)

KEY = {"authorization": "Bearer sk-pass"}


def random_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


class TestBodies:
    @pytest.mark.parametrize("size", [0, 1, 65_537, 5_000_000])
    def test_a_sized_body_arrives_and_returns(
        self, puppet: Puppet, puppet_gateway: str, size: int
    ) -> None:
        body = random_bytes(size)
        headers = {**KEY, "content-type": "application/x-thing; charset=none"}
        answer = plain_request(puppet_gateway, "POST", "/v1/files", headers, body)

        assert puppet.last.body == answer.body == body
        assert puppet.last.values("content-length") == [str(size)]
        assert puppet.last.values("transfer-encoding") == []
        assert puppet.last.values("content-type") == ["application/x-thing; charset=none"]

    @pytest.mark.parametrize("sizes", [(1, 1, 1), (0x10000, 3, 5_000_000)])
    def test_a_chunked_body_arrives_and_returns(
        self, puppet: Puppet, puppet_gateway: str, sizes: tuple[int, ...]
    ) -> None:
        pieces = [random_bytes(size, seed) for seed, size in enumerate(sizes)]
        headers = {**KEY, "Transfer-Encoding": "chunked"}
        answer = plain_request(
            puppet_gateway, "POST", "/v1/files", headers, iter(pieces), chunked=True
        )

        assert puppet.last.body == answer.body == b"".join(pieces)
        assert puppet.last.values("content-length") == []

    def test_a_body_that_is_not_cached_has_no_limit(
        self, puppet: Puppet, puppet_gateway: str
    ) -> None:
        body = bytes(33 << 20)
        answer = plain_request(puppet_gateway, "POST", "/v1/files", KEY, body)

        assert (answer.status, len(answer.body)) == (200, len(body))

    def test_a_request_without_a_body_gets_none(self, puppet: Puppet, puppet_gateway: str) -> None:
        plain_request(puppet_gateway, "DELETE", "/v1/files/f-1", KEY)

        assert puppet.last.body == b""
        assert puppet.last.values("transfer-encoding") == []

    def test_a_sized_answer_stays_sized_even_without_its_body(
        self, puppet: Puppet, puppet_gateway: str
    ) -> None:
        async def sized(exchange: Exchange) -> None:
            await exchange.head(content_length="12345")
            await exchange.end(b"" if exchange.seen.method == "HEAD" else bytes(12_345))

        puppet.act = sized
        head = plain_request(puppet_gateway, "HEAD", "/v1/files/f-1", KEY)
        whole = plain_request(puppet_gateway, "GET", "/v1/files/f-1", KEY)

        assert head.values("content-length") == whole.values("content-length") == ["12345"]
        assert (len(head.body), len(whole.body)) == (0, 12_345)

    @pytest.mark.parametrize("path", ["/v1/files", CHAT], ids=["unknown", "bypassed"])
    def test_gzip_stays_gzip_with_its_header(
        self, puppet: Puppet, puppet_gateway: str, path: str
    ) -> None:
        packed = gzip.compress(b'{"squeezed": true}')

        async def squeezed(exchange: Exchange) -> None:
            await exchange.head(content_type="application/json", content_encoding="gzip")
            await exchange.end(packed)

        puppet.act = squeezed
        headers = {**KEY, "accept-encoding": "gzip;q=0.5, br", "cache-control": "no-store"}
        body = b'{"model": "m", "messages": [{"role": "user", "content": "Squeezed?"}]}'
        answer = plain_request(puppet_gateway, "POST", path, headers, body)

        assert answer.body == packed
        assert answer.values("content-encoding") == ["gzip"]
        assert puppet.last.values("accept-encoding") == ["gzip;q=0.5, br"]

    def test_no_encoding_is_asked_for_that_the_caller_did_not_ask_for(
        self, puppet: Puppet, puppet_gateway: str
    ) -> None:
        headers = {**KEY, "accept-encoding": "identity"}
        plain_request(puppet_gateway, "GET", "/v1/models", headers)

        assert puppet.last.values("accept-encoding") == ["identity"]


@pytest.mark.parametrize("control", ["only-if-cached", "max-age=5, Only-If-Cached=1"])
def test_what_is_never_cached_is_refused_and_counted_if_only_a_cached_answer_will_do(
    puppet: Puppet, puppet_caller: Caller, control: str
) -> None:
    before = puppet_caller.stats()["reasons"].get("only-if-cached", 0)
    sent = len(puppet.seen)
    headers = {**KEY, "cache-control": control}
    for path in ("/v1/files", "/v1/models"):
        refused = puppet_caller.http.get(puppet_caller.url + path, headers=headers)
        assert (refused.status_code, len(puppet.seen)) == (504, sent)
    assert puppet_caller.stats()["reasons"]["only-if-cached"] == before + 2


class TestStatuses:
    @pytest.mark.parametrize("status", [204, 301, 304, 400, 401, 404, 418, 429, 500, 529, 599])
    @pytest.mark.parametrize("path", ["/v1/files", CHAT])
    def test_a_status_and_its_body_arrive_unchanged(
        self, puppet: Puppet, puppet_gateway: str, path: str, status: int
    ) -> None:
        said = b"" if status in (204, 304) else b'{"error":  {"message":"\xff as it is"}}\r\n'

        async def fail(exchange: Exchange) -> None:
            await exchange.head(status, x_request_id=f"req-{status}", x_ratelimit_remaining="0")
            await exchange.end(said)

        puppet.act = fail
        body = b'{"model": "m", "messages": [{"role": "user", "content": "%d?"}]}' % status
        answer = plain_request(puppet_gateway, "POST", path, KEY, body)

        assert (answer.status, answer.body) == (status, said)
        assert answer.values("x-request-id") == [f"req-{status}"]
        assert answer.values("x-ratelimit-remaining") == ["0"]


class TestHeaders:
    def test_hop_by_hop_headers_of_a_request_stay_on_their_hop(
        self, puppet: Puppet, puppet_gateway: str
    ) -> None:
        headers = {
            **KEY,
            "Connection": "close, X-Secret,x-other",
            "X-Secret": "s",
            "X-Other": "o",
            "X-Kept": "k",
            "Keep-Alive": "timeout=5",
            "Proxy-Authorization": "Basic c2VjcmV0",
            "Proxy-Connection": "close",
            "TE": "trailers",
            "Trailer": "X-Sum",
            "Upgrade": "h2c",
            "AskOnce-Tags": "a",
        }
        for path in ("/v1/files", CHAT):
            plain_request(puppet_gateway, "POST", path, headers, b"{}")

            names = {name for name, _ in puppet.last.headers}
            gone = {name.lower() for name in headers} - {"authorization", "x-kept", "connection"}
            assert not names & gone
            assert puppet.last.values("connection") in ([], ["keep-alive"])
            assert puppet.last.values("x-kept") == ["k"]

    def test_hop_by_hop_headers_of_an_answer_stay_on_their_hop(
        self, puppet: Puppet, puppet_gateway: str
    ) -> None:
        async def talkative(exchange: Exchange) -> None:
            await exchange.head(
                connection="close, x-secret",
                x_secret="s",
                x_kept="k",
                keep_alive="timeout=5",
                proxy_authenticate="Basic",
                trailer="x-sum",
                upgrade="h2c",
            )
            await exchange.end(b"{}")

        puppet.act = talkative
        for path in ("/v1/files", CHAT):
            answer = plain_request(puppet_gateway, "POST", path, KEY, b"{}")

            names = {name.lower() for name, _ in answer.headers}
            assert not names & {
                "x-secret",
                "keep-alive",
                "proxy-authenticate",
                "trailer",
                "upgrade",
            }
            assert answer.values("x-kept") == ["k"]

    def test_repeated_headers_stay_apart_and_in_order(
        self, puppet: Puppet, puppet_gateway: str
    ) -> None:
        async def twice(exchange: Exchange) -> None:
            pairs = [(b"set-cookie", b"a=1"), (b"x-one", b"1"), (b"set-cookie", b"b=2")]
            await exchange.start(200, pairs)
            await exchange.end()

        puppet.act = twice
        answer = plain_request(puppet_gateway, "GET", "/v1/models", KEY)

        assert answer.values("set-cookie") == ["a=1", "b=2"]

    def test_bytes_beyond_ascii_in_a_header_pass(self, puppet: Puppet, puppet_gateway: str) -> None:
        snowman = "☃".encode()

        async def snow(exchange: Exchange) -> None:
            await exchange.start(200, [(b"content-disposition", b'filename="%b"' % snowman)])
            await exchange.end()

        puppet.act = snow
        headers = {**KEY, "x-note": snowman.decode("latin-1")}
        for method in ("GET", "POST"):
            answer = plain_request(puppet_gateway, method, CHAT, headers)

            assert answer.status == 200
            [value] = answer.values("content-disposition")
            assert value.encode("latin-1") == b'filename="%b"' % snowman
            assert puppet.last.values("x-note")[0].encode("latin-1") == snowman

    def test_an_answer_has_one_date(self, puppet: Puppet, puppet_gateway: str) -> None:
        async def dated(exchange: Exchange) -> None:
            await exchange.head(date="Thu, 01 Jan 1970 00:00:00 GMT")
            await exchange.end()

        puppet.act = dated
        assert len(plain_request(puppet_gateway, "GET", "/v1/models", KEY).values("date")) == 1

    def test_the_gateway_keeps_no_cookies(self, puppet: Puppet, puppet_gateway: str) -> None:
        async def cookie(exchange: Exchange) -> None:
            await exchange.head(set_cookie="session=1; Path=/")
            await exchange.end()

        puppet.act = cookie
        for _ in range(2):
            plain_request(puppet_gateway, "GET", "/v1/models", KEY)

        assert puppet.last.values("cookie") == []


class TestWhatIsNotStored:
    """The practice provider sends cookies and rate limits with every answer."""

    @pytest.mark.parametrize("stream", [False, True])
    def test_private_headers_reach_a_miss_and_no_hit(self, caller: Caller, stream: bool) -> None:
        question = f"Whose cookie is this ({stream})?"
        miss = caller.chat(question, stream=stream)
        hit = caller.chat(question, stream=stream)

        assert [outcome_of(miss), outcome_of(hit)] == ["miss", "hit"]
        assert {"set-cookie", "x-ratelimit-remaining-tokens", "x-request-id"} <= miss.headers.keys()
        private = ("set-cookie", "x-ratelimit", "x-request-id", "openai-processing", "openai-org")
        assert [name for name in hit.headers if name.startswith(private)] == []
        assert hit.headers["askonce-original-request-id"] == miss.headers["x-request-id"]
        assert hit.headers["openai-version"] == miss.headers["openai-version"]

    def test_a_compressed_answer_is_asked_for_plainly_and_stored_plainly(
        self, caller: Caller
    ) -> None:
        """`practice-gzip` compresses whether it was asked to or not."""
        question = "Is it squeezed?"
        answers = [caller.chat(question, model="practice-gzip") for _ in range(2)]
        streamed = caller.chat(question, model="practice-gzip", stream=True)

        assert [outcome_of(answer) for answer in [*answers, streamed]] == ["miss", "hit", "hit"]
        for answer in [*answers, streamed]:
            assert is_answer(answer, question)
            assert "content-encoding" not in answer.headers

    def test_a_compressed_stream_too(self, caller: Caller) -> None:
        question = "Is it a squeezed stream?"
        answers = [caller.chat(question, model="practice-gzip", stream=True) for _ in range(2)]

        assert [outcome_of(answer) for answer in answers] == ["miss", "hit"]
        assert all(is_answer(answer, question) for answer in answers)
        assert answers[0].headers.get("content-encoding") is None

    def test_a_miss_asks_the_provider_for_no_encoding(
        self, puppet: Puppet, puppet_caller: Caller
    ) -> None:
        puppet_caller.chat("Encoded?", headers={"accept-encoding": "gzip, br, zstd"})

        assert puppet.last.values("accept-encoding") == ["identity"]


class TestWhatAMissSends:
    def test_the_callers_own_bytes(self, puppet: Puppet, puppet_gateway: str) -> None:
        body = (
            '{ "model":"m","messages":[{"content":"\\u00e9 é","role":"user"}], "x": 1.0}'.encode()
        )
        plain_request(puppet_gateway, "POST", CHAT, KEY, body)

        assert puppet.last.body == body
        assert puppet.last.values("authorization") == ["Bearer sk-pass"]

    def test_none_of_the_cache_s_own_headers(self, puppet: Puppet, puppet_caller: Caller) -> None:
        own = {"askonce-ttl": "1h", "askonce-tags": "a,b", "askonce-namespace": "n"}
        puppet_caller.chat("Own headers?", headers=own)

        assert [name for name, _ in puppet.last.headers if name.startswith("askonce")] == []


class TestTrust:
    def test_the_environment_does_not_reroute_the_gateway(
        self, http: httpx2.Client, provider_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
        with gateway(provider_url) as url:
            answer = Caller(http, url).chat("Through a proxy?")

        assert is_answer(answer, "Through a proxy?")

    def test_an_answer_cannot_bring_a_cache_status_of_its_own(
        self, puppet: Puppet, puppet_caller: Caller
    ) -> None:
        async def boast(exchange: Exchange) -> None:
            await exchange.head(cache_status="askonce; hit; detail=memory", age="5")
            await exchange.end(b"{}")

        puppet.act = boast
        answer = puppet_caller.chat("Who says hit?")

        assert status_of(answer) == "askonce; fwd=miss; detail=empty"
        assert "age" not in answer.headers


@pytest.mark.parametrize("target", ["/v1/files?", "/v1/files", "/v1/files?a=1&", "/v1/files?a=%3F"])
def test_an_empty_query_stays(target: str) -> None:
    """A provider on a bare socket, because an HTTP server drops the question mark."""
    lines: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                lines.append(connection.recv(65_536).split(b"\r\n", 1)[0])
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with gateway(f"http://127.0.0.1:{listening.getsockname()[1]}") as url:
            plain_request(url, "GET", target, {"authorization": "Bearer k"})
        thread.join(20)
    assert lines == [f"GET {target} HTTP/1.1".encode()]
