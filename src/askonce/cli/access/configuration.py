"""The settings that a command works with."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from askonce.config.load import load
from askonce.config.settings import Settings
from askonce.core.errors import ConfigError

DEFAULT_FILE = "askonce.toml"


def read_settings(
    options: argparse.Namespace, overrides: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings of `--config`, else of ./askonce.toml if it exists, else the defaults.

    `overrides` are variables that go before those of the environment. Raises `ConfigError`.
    """
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
