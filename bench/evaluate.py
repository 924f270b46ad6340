"""How well does matching by meaning do, on the sets that ship and on development data?

    python -m bench.evaluate [--data FOLDER] [--limit N] [--out FOLDER]

FOLDER has public sets as JSON lines, gzip; one that is missing is skipped with a line saying so.
Every set's numbers go to .bench/eval/SET.json, its picture beside it, all numbers to all.json.
Each text is embedded once.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from askonce.cli.commands.eval import embed, report
from askonce.cli.output import eval_plots, eval_tables
from askonce.cli.output.terminal import show_json
from askonce.core.errors import ConfigError
from askonce.semantic.evaluation.draws import Draws
from askonce.semantic.evaluation.json_lines import read_objects
from askonce.semantic.evaluation.measurement import measure
from askonce.semantic.evaluation.pairs import Pair
from askonce.semantic.evaluation.question_files import lines_of, read_pair_set, read_stream_set
from askonce.semantic.evaluation.question_sets import PairSet, QuestionSet, StreamSet
from askonce.semantic.evaluation.shipped_sets import shipped_sets
from askonce.semantic.evaluation.streams import mixed_in, zipf_arrivals
from askonce.semantic.evaluation.text_vectors import TextVectors
from askonce.semantic.operating_point import THRESHOLD

OUT = Path(".bench/eval")
SEED, EXPONENT = 1, 0.8
OUT_OF_SCOPE = 0.04
SUBJECTS = 40
"""How many subjects of each relation of ParaRel make pairs."""


class Relation(msgspec.Struct):
    """A relation of ParaRel: its wordings, with [X] for the subject and [Y] for the answer."""

    patterns: list[str]
    subjects: list[str]


class Source(NamedTuple):
    """A set under the name of its file, made out of the files that it needs."""

    name: str
    needs: tuple[str, ...]
    make: Callable[..., QuestionSet]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.evaluate")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="development data")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N of each set")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER")
    options = parser.parse_args()
    sets = [cut(one, options.limit) for one in (*shipped_sets(), *development(options.data))]
    meanings = TextVectors.of("local")
    embed(sets, meanings)
    options.out.mkdir(parents=True, exist_ok=True)
    results = [saved(one, meanings, options.out) for one in sets]
    write(options.out / "all.json", report(results, meanings.embedder.name, THRESHOLD))
    print("\n".join(eval_tables.show(results)))
    print(f"numbers and pictures: {options.out}/")
    return 0


def development(folder: Path | None) -> Iterator[QuestionSet]:
    """The sets of the folder's files; a line for each that is not there."""
    if folder is None:
        print("no development data: only the sets that ship", file=sys.stderr)
        return
    for name, needs, make in SOURCES:
        paths = [folder / f"{need}.jsonl.gz" for need in needs]
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            print(f"{name}: skipped, there is no {', '.join(missing)}", file=sys.stderr)
        else:
            yield make(name, *map(str, paths))


def saved(one: QuestionSet, meanings: TextVectors, out: Path) -> dict[str, Any]:
    print(f"measuring: {one.name} ...", file=sys.stderr, flush=True)
    result = measure(one, meanings, threshold=THRESHOLD)
    write(out / f"{one.name}.json", report([result], meanings.embedder.name, THRESHOLD))
    eval_plots.draw(result, out / f"{one.name}.png")
    return result


def write(path: Path, result: dict[str, Any]) -> None:
    path.write_text(show_json(result) + "\n", encoding="utf-8")


def cut(one: QuestionSet, limit: int | None) -> QuestionSet:
    if isinstance(one, PairSet):
        return one._replace(pairs=one.pairs[:limit])
    return one._replace(questions=one.questions[:limit])


def labelled(name: str, path: str) -> QuestionSet:
    """Pairs as they are in the file."""
    found, _ = read_pair_set(path)
    return found._replace(name=name)


def arriving(name: str, path: str, strangers: str | None = None) -> QuestionSet:
    """The questions by Zipf's law, with out-of-scope ones among them if there are any."""
    found, _ = read_stream_set(path)
    asked = zipf_arrivals(found.questions, count=len(found.questions), exponent=EXPONENT, seed=SEED)
    if strangers is not None:
        texts = list(dict.fromkeys(one.text for one in read_stream_set(strangers)[0].questions))
        enough = round(len(texts) * (1 - OUT_OF_SCOPE) / OUT_OF_SCOPE)
        asked = mixed_in(asked[:enough], texts, part=OUT_OF_SCOPE, seed=SEED)
    return StreamSet(name, asked)


def swapped(name: str, path: str) -> QuestionSet:
    """ParaRel: one subject in two wordings is the same, two subjects in one wording are not."""
    relations, faults = read_objects(lines_of(path), lambda row: msgspec.convert(row, Relation))
    if faults:
        raise ConfigError(f"{path}: line {faults[0].line}: {faults[0].why}")
    return PairSet(name, [pair for one in relations for pair in islice(swaps(one), 2 * SUBJECTS)])


def swaps(relation: Relation) -> Iterator[Pair]:
    if len(relation.patterns) < 2:
        return
    draws = Draws(SEED)
    subjects = draws.shuffled(relation.subjects)
    for number, subject in enumerate(subjects):
        one, two = draws.shuffled(relation.patterns)[:2]
        other = subjects[(number + 1) % len(subjects)]
        yield Pair(filled(one, subject), filled(two, subject), True)
        yield Pair(filled(one, subject), filled(one, other), False)


def filled(pattern: str, subject: str) -> str:
    return pattern.replace("[X]", subject).replace("[Y]", "...")


SOURCES = (
    Source("qqp", ("qqp",), labelled),
    Source("mqp", ("mqp",), labelled),
    Source("paws_qqp", ("paws_qqp",), labelled),
    Source("pararel", ("pararel",), swapped),
    Source("banking77", ("banking77", "clinc150_out_of_scope"), arriving),
    Source("clinc150", ("clinc150", "clinc150_out_of_scope"), arriving),
    Source("uqv100", ("uqv100_variants",), arriving),
)


if __name__ == "__main__":
    sys.exit(main())
