"""`askonce serve`: the gateway."""

import argparse

from askonce.cli.reading import read_settings
from askonce.errors import ConfigError


def run(options: argparse.Namespace) -> int:
    overrides = {}
    if options.host is not None:
        overrides["ASKONCE_GATEWAY__HOST"] = options.host
    if options.port is not None:
        overrides["ASKONCE_GATEWAY__PORT"] = options.port
    settings = read_settings(options, overrides)
    try:
        from askonce.gateway import serve
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the gateway needs {error.name}; install it with: pip install 'askonce[gateway]'"
        ) from None
    return serve(settings) or 0
