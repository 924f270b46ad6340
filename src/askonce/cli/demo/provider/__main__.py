"""`python -m askonce.cli.demo.provider`: the demo provider alone, on a port of your choice."""

import argparse
from collections.abc import Sequence

import uvicorn

from askonce.cli.demo.provider.provider import DemoProvider


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the demo provider until it is interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m askonce.cli.demo.provider",
        description="A demo provider: real HTTP, made-up answers, faults by model name.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=4041, help="port to listen on (%(default)s)")
    parser.add_argument(
        "--latency",
        type=_latency,
        default=(300, 800),
        metavar="LOW-HIGH",
        help="milliseconds to the first byte (300-800); 0 answers at once, streams included",
    )
    options = parser.parse_args(argv)
    word_ms = 10 if options.latency[1] else 0
    app = DemoProvider(first_byte_ms=options.latency, word_ms=word_ms)
    print(f"The demo provider is on http://{options.host}:{options.port} (Ctrl-C stops it).")
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning", lifespan="off")


def _latency(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    try:
        bounds = float(low), float(high or low)
    except ValueError:
        bounds = -1.0, -1.0
    if not 0 <= bounds[0] <= bounds[1]:
        raise argparse.ArgumentTypeError(f"not a range of milliseconds, like 300-800: {text!r}")
    return bounds


if __name__ == "__main__":
    main()
