"""The page of `askonce explain --near`."""

from typing import Any

from askonce.cli.output.terminal import plain
from askonce.semantic.guards import Veto


def print_nearest(found: dict[str, Any]) -> None:
    print(f"{plain(found['question'])}")
    print(
        f"threshold {found['threshold']:.2f}, mode {found['mode']}, "
        f"{found['compared']:,} entries compared by {found['embedder']}"
    )
    if not found["nearest"]:
        print("\nno comparable question is stored")
    for one in found["nearest"]:
        print(f"\n  {one['similarity']:.3f}  {plain(one['question'])}")
        where = f"{one['namespace']}, {one['model'] or 'a plain text'}, scope {one['scope']}"
        print(f"         {where}")
        said = ", ".join(one["vetoes"]) or "none refuses"
        print(f"         guards: {said}")
        print(f"         {_decision(one['decision'])}")
    if found["not_compared"]:
        print(f"\nonly ever matched exactly: {found['not_compared']:,} more")


def _decision(word: str) -> str:
    if word == "serve":
        return "its answer may be served to callers in that scope"
    if word == Veto.FAR.value:
        return "not served: not similar enough"
    return f"not served: {word}"
