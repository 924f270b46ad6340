"""`askonce demo`: real questions through a gateway and a demo provider on this machine."""

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator

from askonce.cli.access.gateways import started_gateway
from askonce.core.errors import missing_library


def run(options: argparse.Namespace) -> int:
    try:
        from askonce.cli.demo.run import main
    except ModuleNotFoundError as error:
        raise missing_library("the demo", str(error.name), "demo") from None
    arguments = [f"--requests={options.requests}", f"--concurrency={options.concurrency}"]
    arguments += ["--json"] if options.json else []
    arguments += [f"--picture={options.picture}"] if options.picture else []
    return main(arguments, start_gateway=start_gateway)


@contextlib.contextmanager
def start_gateway(provider_url: str) -> Iterator[str]:
    """Run `askonce serve` in front of one provider.

    It is a process of its own, with an empty store that is deleted afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="askonce-demo-") as folder:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("ASKONCE_")}
        environ["ASKONCE_PROVIDERS__OPENAI__BASE_URL"] = provider_url
        environ["ASKONCE_PROVIDERS__ANTHROPIC__BASE_URL"] = provider_url
        with started_gateway(folder, environ) as url:
            yield url
