"""`askonce prompts`: what the providers' own prompt caches make of requests."""

import argparse

from askonce.cli import prompts_analyze, prompts_check


def run(options: argparse.Namespace) -> int:
    if options.verb == "check":
        return prompts_check.run(options)
    return prompts_analyze.run(options)
