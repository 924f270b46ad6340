"""`askonce config`: the effective settings and where they come from."""

import argparse
import json

from askonce.cli.access.configuration import read_settings
from askonce.config.show import masked, show


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    if options.json:
        print(json.dumps({"settings": masked(settings), "origins": settings.origins}, indent=2))
    else:
        print(show(settings), end="")
    return 0
