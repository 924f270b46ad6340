"""Run Python programs from JSON on standard input, each as if it were alone; print the results.

One interpreter runs all of them, because importing an SDK takes a second. Each program gets a
`__main__` module and an empty folder of its own, and its output is caught. A warning is an error,
and so is a file or a socket that a program leaves open.

    {"name": "program"}  ->  {"name": {"out": "printed text", "fault": "traceback or empty"}}
"""

import contextlib
import gc
import io
import json
import os
import sys
import tempfile
import traceback
import types
import warnings
from pathlib import Path


class Printed(contextlib.AbstractContextManager[None]):
    """Print an exception raised within the block, and continue."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error:
            traceback.print_exception(error)
        return True


def run(program: str, name: str, folder: str) -> dict[str, str]:
    """Run one program in `folder` and return its output and its fault."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    os.chdir(folder)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), Printed():
        exec(compile(program, name, "exec"), module.__dict__)
        module.__dict__.clear()
        gc.collect()  # a file that was left open warns here, on standard error
    return {"out": out.getvalue(), "fault": err.getvalue()}


def wait_patiently() -> None:
    """Give the embedder ten seconds where a program gives it the default's 250 ms.

    A machine that is busy with other tests must not turn a match into a miss.
    """
    from askonce.semantic.settings import Semantic

    Semantic.patience = property(lambda settings: 10.0)  # type: ignore[method-assign, assignment]


def main() -> None:
    warnings.simplefilter("error")
    wait_patiently()
    programs: dict[str, str] = json.load(sys.stdin)
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for at, (name, program) in enumerate(programs.items()):
            folder = Path(scratch, str(at))
            folder.mkdir()
            results[name] = run(program, name, str(folder))
        os.chdir("/")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
