"""Reading what a command works on: the settings, the store and the gateway that they name."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from askonce.errors import ConfigError, StoreError
from askonce.protocols import Store
from askonce.runtimes import Blocking
from askonce.settings import Gateway, Settings, load
from askonce.showing import masked_url
from askonce.stores import open_store, sqlite_path

DEFAULT_FILE = "askonce.toml"


def read_settings(
    options: argparse.Namespace, overrides: Mapping[str, str] | None = None
) -> Settings:
    """The settings of `--config`, else of ./askonce.toml if there is one, else the defaults."""
    name = options.config or DEFAULT_FILE
    path = Path(name)
    text = ""
    if options.config or path.exists():
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{name}: is not UTF-8 text; save it as UTF-8") from None
    return load(text, {**os.environ, **(overrides or {})}, name)


def open_existing(settings: Settings) -> Store:
    """The configured store, which must be there already: looking never creates one."""
    url = settings.store.url
    path = sqlite_path(url)
    if url == "memory:":
        raise StoreError("store.url is memory:, which nobody but the running gateway can read")
    if path is not None and not Path(path).is_file():
        raise StoreError(f"there is no store at {masked_url(url)} yet; `askonce serve` makes it")
    runtime = Blocking()
    return open_store(url, guard=runtime.guard(), clock=runtime.now)


def gateway_url(gateway: Gateway) -> str:
    """Where the gateway of these settings can be asked from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(gateway.host, gateway.host)  # noqa: S104
    return f"http://[{host}]:{gateway.port}" if ":" in host else f"http://{host}:{gateway.port}"
