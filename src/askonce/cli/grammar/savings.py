"""The grammar of `askonce savings`."""

import argparse

from askonce.cli.grammar.parts import Commands, Parser, add, add_config_option, add_json_option
from askonce.ledger.savings import BY
from askonce.library.arguments import MOST_DAYS


def add_savings(commands: "Commands[Parser]") -> None:
    parser = add(commands, "savings")
    parser.add_argument(
        "--days",
        type=_days,
        default=30,
        metavar="N",
        help="the last N days, today included (default: 30)",
    )
    parser.add_argument("--by", choices=BY, help="a line for each of these")
    parser.add_argument("--csv", action="store_true", help="print all numbers as CSV")
    parser.add_argument(
        "--plot",
        metavar="FILE.png",
        help="also draw the savings of each day; needs: pip install 'askonce[eval]'",
    )
    add_config_option(parser)
    add_json_option(parser)


def _days(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"write a number of days from 1 to {MOST_DAYS}")
    return number
