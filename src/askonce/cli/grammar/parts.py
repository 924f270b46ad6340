"""The parts that all grammars share: the parser class, common options, types of values."""

import argparse
import difflib
import functools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn


def _eighty_columns(prog: str) -> argparse.HelpFormatter:
    # A fixed width, so that the help is the same everywhere, the documentation included.
    return argparse.RawDescriptionHelpFormatter(prog, width=80)


_INVALID_CHOICE = re.compile(r"COMMAND: invalid choice: '([^']*)'")


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords, formatter_class=_eighty_columns, allow_abbrev=False)
        self.commands: dict[str, Parser] = {}

    def error(self, message: str) -> NoReturn:
        found = _INVALID_CHOICE.search(message)
        if found is not None and (near := difflib.get_close_matches(found[1], self.commands, n=1)):
            message = f"there is no command {found[1]!r}; did you mean {near[0]!r}?"
        self.exit(2, f"askonce: {message}; see `{self.prog} --help`\n")


Commands = argparse._SubParsersAction  # what `add_subparsers` returns has no public name


@functools.cache
def help_texts() -> dict[str, tuple[str, str, str]]:
    """Read `help.txt`: the summary, the explanation and the examples of each command."""
    text = Path(__file__).with_name("help.txt").read_text(encoding="utf-8")
    texts = {}
    for section in text.split("\n[")[1:]:
        name, _, body = section.partition("]\n")
        prose, _, examples = body.partition("\nexamples:\n")
        summary, _, explanation = prose.partition("\n")
        texts[name] = summary, explanation.strip(), examples.rstrip()
    return texts


def add(commands: "Commands[Parser]", command: str) -> Parser:
    """Add a command, such as "entries list", with its help of `help.txt`."""
    summary, explanation, examples = help_texts()[command]
    return commands.add_parser(
        command.rpartition(" ")[2],
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{explanation}\n",
        epilog=f"examples:\n{examples}\n",
    )


def add_verbs(parser: Parser, *add_verb: Callable[["Commands[Parser]"], None]) -> None:
    """Add the verbs of a command, such as list and show; the user must give one of them."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    for add_one in add_verb:
        add_one(verbs)
    parser.commands = dict(verbs.choices)


def add_config_option(parser: Parser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the settings (default: askonce.toml if there is one); "
        "ASKONCE_<SECTION>__<KEY> in the environment overrides it",
    )


def add_json_option(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def positive_count(text: str) -> int:
    """Read a whole number above 0."""
    return count_up_to(None)(text)


def count_up_to(most: int | None) -> Callable[[str], int]:
    """Make a reader of whole numbers above 0, up to `most` if there is one."""

    def count(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else 0
        if number < 1 or (most is not None and number > most):
            wanted = "above 0" if most is None else f"from 1 to {most}"
            raise argparse.ArgumentTypeError(f"write a whole number {wanted}, not {text!r}")
        return number

    return count


def number_between(low: float, high: float) -> Callable[[str], float]:
    """Make a reader of numbers from `low` to `high`, also as a percentage."""

    def number(text: str) -> float:
        try:
            value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"write a number from {low} to {high}, not {text!r}")
        return value

    return number
