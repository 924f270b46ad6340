"""`askonce eval`: measure matching by meaning on sets with known answers."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from askonce.cli.output.eval_tables import show
from askonce.cli.output.meter import Meter
from askonce.cli.output.terminal import plain, show_json
from askonce.core.errors import ConfigError, missing_library
from askonce.semantic.evaluation.measurement import measure
from askonce.semantic.evaluation.question_files import Complaint, read_pair_set, read_stream_set
from askonce.semantic.evaluation.question_sets import PairSet, QuestionSet, StreamSet
from askonce.semantic.evaluation.shipped_sets import shipped_sets
from askonce.semantic.evaluation.streams import mixed_in, zipf_arrivals
from askonce.semantic.evaluation.text_vectors import TextVectors
from askonce.semantic.operating_point import THRESHOLD

SEED = 1
_SHOWN = 20  # complaints about one file


def run(options: argparse.Namespace) -> int:
    plots = _plots(options.plots)
    threshold = THRESHOLD if options.threshold is None else options.threshold
    sets, complaints = _sets(options)
    meanings = TextVectors.of(options.embedder)
    try:
        embed(sets, meanings)
        figures = [measure(one, meanings, threshold=threshold) for one in sets]
    finally:
        meanings.close()
    if plots:
        for one, path in zip(figures, _paths(Path(options.plots), figures), strict=True):
            plots.draw(one, path)
            print(f"askonce: wrote {plain(str(path))}", file=sys.stderr)
    if options.json:
        print(show_json(report(figures, meanings.embedder.name, threshold, complaints)))
    else:
        print("\n".join(show(figures)))
    return 0


def embed(sets: Sequence[QuestionSet], meanings: TextVectors) -> None:
    """Give every text of the sets its vector, each once."""
    texts = [text for one in sets for text in one.texts()]
    total = len(meanings.missing(texts))
    with Meter("embedding", total, things="texts") as meter:
        meanings.embed(texts, meter.report)


def report(
    figures: Sequence[dict[str, Any]],
    embedder: str,
    threshold: float,
    complaints: Sequence[Complaint] = (),
) -> dict[str, Any]:
    """The JSON object: a single set's numbers also stand at the top."""
    return {
        **(figures[0] if len(figures) == 1 else {}),
        "embedder": embedder,
        "threshold": threshold,
        "sets": list(figures),
        "skipped": [{"file": one.file, "line": one.line, "why": one.why} for one in complaints],
    }


# Reading


def _sets(options: argparse.Namespace) -> tuple[list[QuestionSet], list[Complaint]]:
    """Return the usable sets, and the complaints about the others, which are printed already."""
    if not options.pairs and not options.stream:
        if options.zipf is not None or options.out_of_scope:
            raise ConfigError("--zipf and --out-of-scope rearrange streams; give a --stream FILE")
        return [_limited(one, options.limit) for one in shipped_sets()], []
    if [*options.pairs, *options.stream, options.out_of_scope].count("-") > 1:
        raise ConfigError("only one set can come from standard input")
    complaints: list[Complaint] = []
    strangers = _strangers(options, complaints)
    sets: list[QuestionSet] = []
    for name in options.pairs:
        pairs, wrong = read_pair_set(name)
        complaints += wrong
        sets += [_limited(pairs, options.limit)] if pairs.pairs else []
    for name in options.stream:
        stream, wrong = read_stream_set(name)
        complaints += wrong
        sets += [_arranged(stream, strangers, options)] if stream.questions else []
    if not sets and len(complaints) == 1:
        raise ConfigError(str(complaints[0]))
    _complain(complaints)
    if not sets:
        raise ConfigError("nothing to measure: no file has a line that can be used")
    return sets, complaints


def _strangers(options: argparse.Namespace, complaints: list[Complaint]) -> list[str]:
    if not options.out_of_scope:
        return []
    stream, wrong = read_stream_set(options.out_of_scope)
    complaints += wrong
    return [question.text for question in stream.questions]


def _limited(one: QuestionSet, limit: int | None) -> QuestionSet:
    if isinstance(one, PairSet):
        return one._replace(pairs=one.pairs[:limit])
    return one._replace(questions=one.questions[:limit])


def _arranged(stream: StreamSet, strangers: list[str], options: argparse.Namespace) -> QuestionSet:
    """Arrange a stream in the requested order."""
    questions = stream.questions
    if options.zipf is not None:
        questions = zipf_arrivals(
            questions, count=options.limit or len(questions), exponent=options.zipf, seed=SEED
        )
    questions = questions[: options.limit]
    if strangers:
        questions = mixed_in(questions, strangers, part=options.out_of_scope_part, seed=SEED)
    return stream._replace(questions=questions)


def _complain(complaints: Sequence[Complaint]) -> None:
    """Print a line for each complaint, and the number of the rest."""
    for file in dict.fromkeys(one.file for one in complaints):
        about = [one for one in complaints if one.file == file]
        for one in about[:_SHOWN]:
            print(f"askonce: {plain(str(one))}", file=sys.stderr)
        if len(about) > _SHOWN:
            more = f"and {len(about) - _SHOWN:,} more lines"
            print(f"askonce: {plain(file)}: {more}", file=sys.stderr)


# Pictures


def _plots(folder: str | None) -> Any:
    """Import the plots before measuring, so that a missing library is reported at once."""
    if folder is None:
        return None
    try:
        import matplotlib  # noqa: F401

        from askonce.cli.output import eval_plots
    except ImportError:
        raise missing_library("--plots", "matplotlib", "eval") from None
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made: {error.strerror}") from None
    return eval_plots


def _paths(folder: Path, figures: Sequence[dict[str, Any]]) -> list[Path]:
    """A file for each set; sets of the same name get a number."""
    paths: list[Path] = []
    for one in figures:
        stem = "".join(char if char.isalnum() or char in "-_." else "_" for char in one["name"])
        path, number = folder / f"{stem}.png", 1
        while path in paths:
            number += 1
            path = folder / f"{stem}-{number}.png"
        paths.append(path)
    return paths
