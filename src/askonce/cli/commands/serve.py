"""`askonce serve`: the gateway."""

import argparse

from askonce.cli.access.configuration import read_settings
from askonce.config.settings import Settings
from askonce.core.errors import missing_library
from askonce.core.printers import masked_url


def run(options: argparse.Namespace) -> int:
    overrides = {}
    if options.host is not None:
        overrides["ASKONCE_GATEWAY__HOST"] = options.host
    if options.port is not None:
        overrides["ASKONCE_GATEWAY__PORT"] = options.port
    settings = read_settings(options, overrides)
    try:
        from askonce.gateway.server import serve
    except ModuleNotFoundError as error:
        raise missing_library("the gateway", str(error.name), "gateway") from None
    serve(settings, ready=lambda url: print(_welcome(url, settings), flush=True))
    return 0


def _welcome(url: str, settings: Settings) -> str:
    """Return the next steps, with addresses to paste."""
    return f"""\
AskOnce answers on {url}, keeping answers in {masked_url(settings.shared_url)}.

  export OPENAI_BASE_URL={url}/v1
  export ANTHROPIC_BASE_URL={url}

Then run any program that uses their SDKs, twice. `askonce stats` prints the savings; Ctrl-C stops.
"""
