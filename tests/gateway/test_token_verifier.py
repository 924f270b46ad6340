"""Callers whom a claim of a verified token names: `[identity.jwt]`, with real keys over HTTP."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from askonce.config.load import load
from askonce.core.errors import ConfigError
from tests.gateway.stage import Caller, Puppet, gateway, outcome_of
from tests.gateway.test_gateway_credentials import answers

ISSUER = "https://login.example.com/"
AUDIENCE = "gateway"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


def public(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    return {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "alg": "RS256"}


def pem(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))


def token(key: Any = KEY, kid: str | None = "one", alg: str = "RS256", **claims: Any) -> str:
    now = time.time()
    said = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "exp": now + 600,
        "jti": str(time.time_ns()),
    }
    headers = {} if kid is None else {"kid": kid}
    said = {name: value for name, value in {**said, **claims}.items() if value is not None}
    return jwt.encode(said, key, algorithm=alg, headers=headers)


class KeyServer:
    """Serves a JSON Web Key Set, and counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [public(KEY, "one")]
        self.asked = 0
        self.is_broken = False

    @contextlib.contextmanager
    def served(self) -> Iterator[str]:
        keys = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                keys.asked += 1
                body = b"broken" if keys.is_broken else json.dumps({"keys": keys.keys}).encode()
                self.send_response(500 if keys.is_broken else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}/keys.json"
            server.shutdown()


@pytest.fixture
def key_server() -> KeyServer:
    return KeyServer()


@pytest.fixture
def own(http: httpx2.Client, puppet: Puppet, key_server: KeyServer) -> Iterator[Caller]:
    puppet.act = answers
    with key_server.served() as url, gateway(puppet.url, more=settings(url)) as address:
        yield Caller(http, address)


def settings(keys: str) -> str:
    return f"""
        [identity.jwt]
        issuer = "{ISSUER}"
        audience = ["{AUDIENCE}"]
        keys = "{keys}"
    """


def outcomes(own: Caller, question: str, *tokens: str) -> list[str]:
    return [outcome_of(own.with_key(one).chat(question)) for one in tokens]


def test_rotating_tokens_of_one_caller_share_and_others_do_not(own: Caller) -> None:
    asked = [token(), token(), token(sub="bob"), token(sub="bob")]
    assert outcomes(own, "Who rotates?", *asked) == ["miss", "hit", "miss", "hit"]


WRONG: dict[str, Callable[[], str]] = {
    "another key": lambda: token(OTHER),
    "an unknown key": lambda: token(OTHER, kid="two"),
    "another issuer": lambda: token(iss="https://evil.example.com/"),
    "another audience": lambda: token(aud="other"),
    "expired": lambda: token(exp=time.time() - 120),
    "no expiry": lambda: token(exp=None),
    "no audience": lambda: token(aud=None),
    "no claim": lambda: token(sub=None),
    "an empty claim": lambda: token(sub=""),
    "a claim that is a list": lambda: token(sub=["alice"]),
    "not yet valid": lambda: token(nbf=time.time() + 600),
    "no signature": lambda: jwt.encode({"iss": ISSUER, "sub": "alice"}, "", algorithm="none"),
    "the public key as a secret": lambda: forged_with_the_public_key(),
    "three words": lambda: "a.b.c",
    "cut": lambda: token()[:-10],
}


def forged_with_the_public_key() -> str:
    """HS256 with the public key as the secret: the classic confusion."""
    import base64
    import hashlib
    import hmac

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    now = time.time()
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 600}
    head = part(b'{"alg":"HS256","kid":"one"}') + b"." + part(json.dumps(claims).encode())
    signature = part(hmac.new(pem(KEY), head, hashlib.sha256).digest())
    return (head + b"." + signature).decode()


@pytest.mark.parametrize("wrong", WRONG)
def test_a_token_that_does_not_verify_has_a_namespace_of_its_own(own: Caller, wrong: str) -> None:
    question = f"Is it {wrong}?"
    assert outcomes(own, question, token()) == ["miss"]
    forged = WRONG[wrong]()
    assert outcomes(own, question, forged, forged) == ["miss", "hit"]


def test_a_token_is_no_longer_its_caller_once_it_expires(
    http: httpx2.Client, puppet: Puppet, key_server: KeyServer
) -> None:
    now = [time.time()]
    puppet.act = answers
    with (
        key_server.served() as url,
        gateway(puppet.url, more=settings(url), clock=lambda: now[0]) as address,
    ):
        own = Caller(http, address)
        short = token(exp=time.time() + 60)
        assert outcomes(own, "Until when?", short, short) == ["miss", "hit"]
        now[0] += 61
        assert outcomes(own, "Until when?", short) == ["miss"]


def test_a_verified_token_beside_another_credential_is_another_caller(own: Caller) -> None:
    question = "Beside another?"
    beside = {"x-end-user-token": "carol"}
    assert outcomes(own, question, token()) == ["miss"]
    answers_ = [own.with_key(token()).chat(question, headers=beside) for _ in range(2)]
    assert [outcome_of(answer) for answer in answers_] == ["miss", "hit"]


def test_unknown_keys_do_not_make_a_fetch_each(own: Caller, key_server: KeyServer) -> None:
    for number in range(20):
        outcomes(own, "How many fetches?", token(OTHER, kid=f"key-{number}"))
    assert key_server.asked == 1


def test_without_the_issuer_callers_are_answered_all_the_same(
    own: Caller, key_server: KeyServer
) -> None:
    key_server.is_broken = True
    one, other = token(), token()
    assert outcomes(own, "Is it down?", one, one, other) == ["miss", "hit", "miss"]


@pytest.mark.parametrize("form", ["jwks", "pem", "curve"])
def test_keys_out_of_a_file(http: httpx2.Client, puppet: Puppet, tmp_path: Path, form: str) -> None:
    puppet.act = answers
    path = tmp_path / "keys"
    key: Any = CURVE if form == "curve" else KEY
    path.write_bytes(
        json.dumps({"keys": [public(KEY, "one")]}).encode() if form == "jwks" else pem(key)
    )
    kid, alg = ("one" if form == "jwks" else None), ("ES256" if form == "curve" else "RS256")
    with gateway(puppet.url, more=settings(str(path))) as address:
        asked = [token(key, kid, alg), token(key, kid, alg)]
        assert outcomes(Caller(http, address), f"Out of a {form}?", *asked) == ["miss", "hit"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('issuer = "i"\naudience = ["a"]', "identity.jwt has no keys"),
        ('issuer = "i"\nkeys = "k"', "identity.jwt has no audience"),
        ('issuer = "i"\naudience = ["a"]\nkeys = "http://login.example.com/k"', "is not secure"),
        ('issuer = "i"\naudience = ["a"]\nkeys = "k"\nclaims = "sub"', "'claims' is not a key"),
    ],
)
def test_a_wrong_table_is_one_line(table: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load(f"[identity.jwt]\n{table}\n", {})
    assert "\n" not in str(caught.value)


def test_another_kind_of_identity_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"write \[identity.jwt\]"):
        load('[identity.saml]\nissuer = "i"\n', {})


@pytest.mark.parametrize("content", [b"{}", b"not keys", b'{"keys": []}', b""])
def test_a_file_without_keys_is_one_line(puppet: Puppet, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    with (
        pytest.raises(ConfigError, match="holds no public keys"),
        gateway(puppet.url, more=settings(str(path))),
    ):
        pass
