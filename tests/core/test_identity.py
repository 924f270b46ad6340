"""Whose answers these are: the server's view, by every credential shown, and never a default."""

import base64

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from askonce.core.identity import Identity, bare, query_credentials
from askonce.core.request_headers import HeaderKinds, without_connection_headers

PEPPER = bytes(range(32))
DUMMY = {"authorization": "Bearer dummy"}

words = st.text("bcdfgklmnprstvz", min_size=3, max_size=8).map(lambda word: f"{word}a")
secrets = st.text("abcdefghij0123456789", min_size=1, max_size=6)
endings = st.sampled_from(
    ["api-key", "key", "token", "auth", "apikey", "subscription-key", "virtual-key", "secret"]
)
credential_names = st.one_of(
    st.builds("x-{}-{}".format, words, endings),
    st.builds("{}-{}".format, words, endings),
    st.sampled_from(["authorization", "apikey", "api-key", "x-api-key", "proxy-authorization"]),
)


def test_a_caller_without_a_credential_has_no_namespace() -> None:
    assert Identity(PEPPER).namespace({"content-type": "x"}) is None
    assert Identity(PEPPER).namespace({"authorization": ""}) is None
    assert Identity(PEPPER).namespace({"authorization": "Bearer "}) is None
    assert Identity(PEPPER).namespace({"cookie": "__cf_bm=1"}) is None


def test_a_tenants_keys_share_and_others_do_not() -> None:
    identity = Identity(PEPPER, {"sk-1": "acme", "Bearer sk-2": "acme", "sk-3": "umbrella"})
    assert identity.namespace({"authorization": "Bearer sk-1"}) == "acme"
    assert identity.namespace({"x-api-key": "sk-2"}) == "acme"
    assert identity.namespace({"authorization": "Bearer sk-2", "x-api-key": "sk-1"}) == "acme"
    assert identity.namespace({"authorization": "Bearer sk-3"}) == "umbrella"
    unknown = identity.namespace({"authorization": "Bearer sk-4"})
    assert unknown is not None
    assert unknown.startswith("key:")
    # Two credentials that disagree name no tenant.
    both = identity.namespace({"authorization": "Bearer sk-1", "x-api-key": "sk-3"})
    assert both is not None
    assert both.startswith("key:")


@given(name=credential_names, secret=secrets)
def test_a_tenants_key_beside_another_credential_is_a_caller_of_its_own(
    name: str, secret: str
) -> None:
    assume(name != "authorization")
    identity = Identity(PEPPER, {"sk-1": "acme"})
    found = identity.namespace({"authorization": "Bearer sk-1", name: secret})
    assert found is not None
    assert found.startswith("key:")


def test_the_secret_matters_and_the_credential_does_not_show() -> None:
    headers = {"authorization": "Bearer sk-secret"}
    one, other = Identity(PEPPER).namespace(headers), Identity(bytes(32)).namespace(headers)
    assert one != other
    assert "secret" not in f"{one}{other}"
    assert Identity(PEPPER).namespace(headers) == one


def test_bare() -> None:
    assert bare("Bearer sk-1") == bare("bearer  sk-1 ") == bare("sk-1") == "sk-1"
    assert bare(None) == ""


shown = st.dictionaries(credential_names, st.text(max_size=6), max_size=4)


@given(one=shown, other=shown)
def test_different_credentials_never_share(one: dict[str, str], other: dict[str, str]) -> None:
    identity = Identity(PEPPER)
    spaces = [identity.namespace(headers) for headers in (one, other)]
    assert (spaces[0] is None) == (not any(map(bare, one.values())))
    if spaces[0] is not None:
        filled = [{k: v for k, v in headers.items() if bare(v)} for headers in (one, other)]
        assert (spaces[0] == spaces[1]) == (filled[0] == filled[1])


@given(name=credential_names, one=secrets, other=secrets)
def test_two_callers_with_one_dummy_authorization_never_share(
    name: str, one: str, other: str
) -> None:
    assume(one != other and name != "authorization")
    identity = Identity(PEPPER)
    assert identity.namespace(DUMMY | {name: one}) != identity.namespace(DUMMY | {name: other})


@pytest.mark.parametrize(
    "name",
    ["idempotency-key", "x-csrf-token", "cf-access-jwt-assertion", "x-goog-iap-jwt-assertion",
     "x-amzn-oidc-accesstoken", "x-ms-token-aad-access-token", "sec-websocket-key", "user-agent"],
)  # fmt: skip
def test_what_differs_in_each_call_is_no_credential(name: str) -> None:
    identity = Identity(PEPPER)
    assert identity.namespace(DUMMY | {name: "1"}) == identity.namespace(DUMMY)


def test_cookies_count_unless_infrastructure_set_them_or_the_address_is_the_providers() -> None:
    identity = Identity(PEPPER)
    alone = identity.namespace(DUMMY)
    assert identity.namespace(DUMMY | {"cookie": "__cf_bm=1; AWSALB=2"}) == alone
    alice = identity.namespace(DUMMY | {"cookie": "sid=alice; __cf_bm=1"})
    assert alice == identity.namespace(DUMMY | {"cookie": "__cf_bm=2; sid=alice"})
    assert alice not in (alone, identity.namespace(DUMMY | {"cookie": "sid=bob"}))
    assert identity.namespace(DUMMY | {"cookie": "sid=bob"}, with_cookies=False) == alone


@given(name=words, one=secrets, other=secrets)
def test_names_that_the_user_adds_are_credentials(name: str, one: str, other: str) -> None:
    assume(one != other)
    identity = Identity(PEPPER, kinds=HeaderKinds(credentials=[f"X-{name}"]))
    header = f"x-{name}"
    assert identity.namespace(DUMMY | {header: one}) != identity.namespace(DUMMY | {header: other})


@pytest.mark.parametrize(
    "name",
    ["key", "api_key", "api-key", "apiKey", "access_token", "token", "sig", "%6Bey", "x_y_key"],
)
def test_members_of_the_query_that_authenticate_count(name: str) -> None:
    identity = Identity(PEPPER)
    assert identity.namespace({}, query=f"alt=sse&{name}=a") is not None
    one, other = (identity.namespace(DUMMY, query=f"{name}={value}") for value in "ab")
    assert one != other


def test_other_members_of_the_query_are_no_credential() -> None:
    assert query_credentials("api-version=2024-10-21&alt=sse&beta=true&monkey=1") == []


SIGNED = (
    "AWS4-HMAC-SHA256 Credential=AKIA1/20261130/eu-west-1/bedrock/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature={}"
)


def signed(key: str, day: str, signature: str) -> dict[str, str]:
    return {
        "authorization": SIGNED.replace("AKIA1", key).replace("20261130", day).format(signature),
        "x-amz-date": f"{day}T000000Z",
        "x-amz-content-sha256": signature,
        "x-amz-security-token": signature,
    }


@given(day=st.integers(20200101, 20991231), one=secrets, other=secrets)
def test_a_signature_is_no_identity_and_its_access_key_is(day: int, one: str, other: str) -> None:
    identity = Identity(PEPPER)
    first = identity.namespace(signed("AKIA1", "20261130", one))
    assert first == identity.namespace(signed("AKIA1", str(day), other))
    assert first != identity.namespace(signed("AKIA2", "20261130", one))
    assert first != identity.namespace(signed("AKIA1", "20261130", one) | {"x-user-key": "a"})


def test_headers_that_connection_names_are_no_headers() -> None:
    named = {"connection": "close, X-Api-Key", "x-api-key": "k", "host": "h"}
    assert without_connection_headers(named) == {"connection": "close, X-Api-Key", "host": "h"}
    for usual in ("keep-alive", "close", "Upgrade"):
        given_ = {"connection": usual, "upgrade": "websocket", "x-api-key": "k"}
        assert without_connection_headers(given_) == given_


def test_basic_credentials_count_whole() -> None:
    identity = Identity(PEPPER)
    basic = [base64.b64encode(text).decode() for text in (b"a:1", b"a:2")]
    spaces = {identity.namespace({"authorization": f"Basic {text}"}) for text in basic}
    assert len(spaces) == 2
