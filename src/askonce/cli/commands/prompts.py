"""`askonce prompts`: what the providers' own prompt caches make of requests."""

import argparse

from askonce.cli.prompts import analyze, check


def run(options: argparse.Namespace) -> int:
    if options.verb == "check":
        return check.run(options)
    return analyze.run(options)
