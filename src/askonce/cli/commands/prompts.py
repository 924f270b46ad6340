"""`askonce prompts`: check how requests use the providers' own prompt caches."""

import argparse

from askonce.cli.prompts import analyze, check


def run(options: argparse.Namespace) -> int:
    if options.verb == "check":
        return check.run(options)
    return analyze.run(options)
