"""Reading what a command works on: the settings, the store and the gateway that they name."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from askonce.config.load import Gateway, Settings, load
from askonce.config.show import masked_url
from askonce.core.errors import ConfigError, StoreError
from askonce.core.protocols import Store
from askonce.core.runtime.threads import SyncRuntime
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store, sqlite_path
from askonce.stores.tiered.layers import MEMORY, tiers_of

DEFAULT_FILE = "askonce.toml"
_DEADLINE = 30.0  # seconds for one call of a store


def read_settings(
    options: argparse.Namespace, overrides: Mapping[str, str] | None = None
) -> Settings:
    """The settings of `--config`, else of ./askonce.toml if there is one, else the defaults."""
    name = options.config or DEFAULT_FILE
    path = Path(name)
    text = ""
    if options.config or path.exists():
        try:
            text = path.read_text(encoding="utf-8-sig")  # Windows begins a file with a mark
        except OSError as error:
            raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{name}: is not UTF-8 text; save it as UTF-8") from None
    return load(text, {**os.environ, **(overrides or {})}, name)


def open_existing(settings: Settings) -> Store:
    """The configured store, which must be there already: looking never creates one."""
    url = settings.shared_url
    path = sqlite_path(url)
    if path is not None and not Path(path).is_file():
        raise StoreError(f"there is no store at {masked_url(url)} yet; `askonce serve` makes it")
    return open_shared(settings)


def open_shared(settings: Settings) -> Store:
    """The configured store, the most shared one of several layers; it may have to be made."""
    tiers = tiers_of(settings.layers)[1]
    return open_url(settings.shared_url, size=tiers[-1].size if tiers else None)


def open_url(url: str, *, size: int | None = None) -> Store:
    """The store at an address, with patience: nobody waits for an answer here."""
    if url == MEMORY:
        raise StoreError("the store is memory:, which nobody but the running gateway can read")
    runtime = SyncRuntime()
    ground = StoreContext(
        runtime.lock,
        runtime.now,
        runtime.loop_or_process,
        deadline=_DEADLINE,
        monotonic=runtime.monotonic,
    )
    return open_store(url, ground, size=size)


def gateway_url(gateway: Gateway) -> str:
    """Where the gateway of these settings can be asked from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(gateway.host, gateway.host)  # noqa: S104
    return f"http://[{host}]:{gateway.port}" if ":" in host else f"http://{host}:{gateway.port}"
