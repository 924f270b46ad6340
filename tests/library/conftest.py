"""A real provider on a real port, and every client in both modes.

An `async def` test that takes `door` or `sdk` is run by it: see `sdks`.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest

from askonce import Cache
from askonce.cli.demo.provider.serving import running
from askonce.core.models import Usage
from askonce.ledger.prices import GenaiPrices
from tests.library.holding_provider import HoldingProvider
from tests.library.sdks import AnthropicSdk, Door, OpenAISdk, Sdk


@pytest.fixture(scope="session", autouse=True)
def first_uses() -> None:
    """Do what blocks at its first use, as reading tables, before a test in an event loop does."""
    GenaiPrices().cost("gpt-4o-mini", "https://api.openai.com", Usage(input_tokens=1))
    Cache().close()
    httpx.HTTPTransport().close()
    httpx2.HTTPTransport().close()


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[HoldingProvider, str]]:
    provider = HoldingProvider()
    with running(provider) as url:
        yield provider, url


@pytest.fixture
def provider(served: tuple[HoldingProvider, str]) -> HoldingProvider:
    served[0].reset()
    return served[0]


MODES = {"blocking": True, "suspending": False}


@pytest.fixture(params=list(MODES.values()), ids=list(MODES))
def blocking(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=[httpx2, httpx], ids=lambda lib: lib.__name__)
def door(
    request: pytest.FixtureRequest, served: tuple[HoldingProvider, str], blocking: bool
) -> Door:
    """Each HTTP library."""
    return Door(request.param, blocking, served[1])


@pytest.fixture(
    params=[(OpenAISdk, httpx2), (OpenAISdk, httpx), (AnthropicSdk, httpx2)],
    ids=["openai-httpx2", "openai-httpx", "anthropic-httpx2"],
)
def sdk(request: pytest.FixtureRequest, served: tuple[HoldingProvider, str], blocking: bool) -> Sdk:
    """Each SDK on each HTTP library that it accepts."""
    make, lib = request.param
    sdk: Sdk = make(Door(lib, blocking, served[1]))
    return sdk


@pytest.fixture
def chat(served: tuple[HoldingProvider, str], blocking: bool) -> OpenAISdk:
    """The openai SDK alone, for what only Chat Completions has."""
    return OpenAISdk(Door(httpx2, blocking, served[1]))


@pytest.fixture
def claude(served: tuple[HoldingProvider, str], blocking: bool) -> AnthropicSdk:
    """The anthropic SDK alone, for what only Messages has."""
    return AnthropicSdk(Door(httpx2, blocking, served[1]))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test in the mode of the client that it takes."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    values: dict[str, Any] = pyfuncitem.funcargs
    arguments = {name: values[name] for name in pyfuncitem._fixtureinfo.argnames}
    clients = [values[name] for name in ("sdk", "chat", "claude") if name in values]
    door: Door = clients[0].door if clients else values["door"]
    door.run(pyfuncitem.obj(**arguments))
    return True
