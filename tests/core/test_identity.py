"""Whose answers these are: the server's view, and never a default."""

from hypothesis import given
from hypothesis import strategies as st

from askonce.core.identity import CREDENTIALS, Identity, bare

PEPPER = bytes(range(32))


def test_a_caller_without_a_credential_has_no_namespace() -> None:
    assert Identity(PEPPER).namespace({"content-type": "x"}) is None
    assert Identity(PEPPER).namespace({"authorization": ""}) is None


def test_a_tenants_keys_share_and_others_do_not() -> None:
    identity = Identity(PEPPER, {"sk-1": "acme", "sk-2": "acme", "sk-3": "umbrella"})
    assert identity.namespace({"authorization": "Bearer sk-1"}) == "acme"
    assert identity.namespace({"x-api-key": "sk-2"}) == "acme"
    assert identity.namespace({"authorization": "Bearer sk-3"}) == "umbrella"
    unknown = identity.namespace({"authorization": "Bearer sk-4"})
    assert unknown is not None
    assert unknown.startswith("key:")
    # Two credentials that disagree name no tenant.
    both = identity.namespace({"authorization": "Bearer sk-1", "x-api-key": "sk-3"})
    assert both is not None
    assert both.startswith("key:")


def test_the_secret_matters_and_the_credential_does_not_show() -> None:
    headers = {"authorization": "Bearer sk-secret"}
    one, other = Identity(PEPPER).namespace(headers), Identity(bytes(32)).namespace(headers)
    assert one != other
    assert "secret" not in f"{one}{other}"
    assert Identity(PEPPER).namespace(headers) == one


def test_bare() -> None:
    assert bare("Bearer sk-1") == bare("bearer  sk-1 ") == bare("sk-1") == "sk-1"
    assert bare(None) == ""


shown = st.dictionaries(st.sampled_from(CREDENTIALS), st.text(max_size=6), max_size=4)


@given(one=shown, other=shown)
def test_different_credentials_never_share(one: dict[str, str], other: dict[str, str]) -> None:
    identity = Identity(PEPPER)
    spaces = [identity.namespace(headers) for headers in (one, other)]
    assert (spaces[0] is None) == (not any(map(bare, one.values())))
    if spaces[0] is not None:
        said = [{k: v for k, v in headers.items() if v} for headers in (one, other)]
        assert (spaces[0] == spaces[1]) == (said[0] == said[1])
