"""The parts that all grammars share: the parser class, common options, types of values."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn


def _eighty_columns(prog: str) -> argparse.HelpFormatter:
    # A fixed width, so that the help is the same everywhere, the documentation included.
    return argparse.RawDescriptionHelpFormatter(prog, width=80)


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords, formatter_class=_eighty_columns, allow_abbrev=False)
        self.commands: dict[str, Parser] = {}

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"askonce: {message}; see `{self.prog} --help`\n")


Commands = argparse._SubParsersAction  # what `add_subparsers` returns has no public name


def add(commands: "Commands[Parser]", name: str, what: str, more: str, examples: str) -> Parser:
    description = f"{what[0].upper()}{what[1:]}.\n\n{more.strip()}\n"
    return commands.add_parser(
        name, help=what, description=description, epilog=f"examples:\n{examples.strip(chr(10))}\n"
    )


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
    """Read a whole number above 0; argparse reports the ValueError with the option's name."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def number_between(low: float, high: float) -> Callable[[str], float]:
    """Make a reader of numbers from `low` to `high`, also as a percentage."""

    def number(text: str) -> float:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        if not low <= value <= high:
            raise ValueError
        return value

    return number
