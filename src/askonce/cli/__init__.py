"""The command line: `askonce serve`, `askonce stats`, `askonce export` and so on.

`grammar/` defines the options. Each command is a module of `commands/` with `run(options) -> int`;
it is imported only when it runs, so `askonce --help` is fast. `access/` opens settings, stores and
gateways, `output/` prints, `transfer/` moves entries, `prompts/` and `demo/` are the larger
commands. Results go to stdout. A failure is one line on stderr: exit status 2 for wrong usage or
configuration, 1 for any other failure. No other package imports this one, except the tests and
benchmarks. Start reading in `grammar/parser.py`.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword

from askonce.cli.grammar.parser import new_parser
from askonce.core.errors import AskOnceError, ConfigError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the return value is the process's exit status."""
    options = new_parser().parse_args(arguments)
    try:
        # A module cannot be called `import`.
        name = options.command + "_" * iskeyword(options.command)
        command = import_module(f"askonce.cli.commands.{name}")
        status: int = command.run(options)
        sys.stdout.flush()
    except ConfigError as error:
        return _fail(error, 2)
    except BrokenPipeError:
        # The reader of a pipe stopped early (`| head`): flush nothing to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (AskOnceError, OSError) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _fail(error: Exception, status: int) -> int:
    line = f"askonce: {' '.join(str(error).split())}"
    red = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    print(f"\x1b[31m{line}\x1b[0m" if red else line, file=sys.stderr)
    return status
