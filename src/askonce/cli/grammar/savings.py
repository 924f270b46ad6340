"""The grammar of `askonce savings`."""

from askonce.cli.grammar.parts import (
    Commands,
    Parser,
    add,
    add_config_option,
    add_json_option,
    count_up_to,
)
from askonce.ledger.savings import BY
from askonce.library.arguments import MOST_DAYS


def add_savings(commands: "Commands[Parser]") -> None:
    parser = add(commands, "savings")
    parser.add_argument(
        "--days",
        type=count_up_to(MOST_DAYS),
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
