"""A demo provider, a scripted provider, and a gateway in front of each."""

from collections.abc import Iterator

import httpx2
import pytest

from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running
from tests.gateway.stage import PATIENCE_S, Caller, Puppet, gateway


@pytest.fixture(scope="session")
def http() -> Iterator[httpx2.Client]:
    """A client that keeps no cookies from one test to the next and follows nothing."""
    with httpx2.Client(timeout=PATIENCE_S, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def provider() -> DemoProvider:
    return DemoProvider(first_byte_ms=(0, 0), word_ms=0)


@pytest.fixture(scope="module")
def provider_url(provider: DemoProvider) -> Iterator[str]:
    with running(provider) as url:
        yield url


@pytest.fixture(scope="module")
def gateway_url(provider_url: str) -> Iterator[str]:
    """A gateway in front of the demo provider; every test asks its own questions."""
    with gateway(provider_url) as url:
        yield url


@pytest.fixture
def caller(http: httpx2.Client, gateway_url: str) -> Caller:
    return Caller(http, gateway_url)


@pytest.fixture(scope="module")
def _puppet() -> Iterator[Puppet]:
    with Puppet().served() as puppet:
        yield puppet


@pytest.fixture
def puppet(_puppet: Puppet) -> Puppet:
    """A provider that echoes unless a test sets another act."""
    url = _puppet.url
    _puppet.__init__()  # type: ignore[misc]  # every test starts with a fresh one
    _puppet.url = url
    return _puppet


@pytest.fixture(scope="module")
def puppet_gateway(_puppet: Puppet) -> Iterator[str]:
    with gateway(_puppet.url) as url:
        yield url


@pytest.fixture
def puppet_caller(http: httpx2.Client, puppet_gateway: str) -> Caller:
    return Caller(http, puppet_gateway)
