"""Replace the numbers in docs/guides/evaluating.md by those of the last `make eval`.

make eval && python -m bench.evaluating_page
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(".bench/eval")
PAGE = Path("docs/guides/evaluating.md")
BEGIN, END = "Pairs, served by AskOnce:\n", "\nAmong "

_WHAT = {
    "handwritten": "ships: traps and paraphrases, written by hand",
    "intents": "ships: BANKING77 and CLINC150",
    "customers": "ships: BANKING77, out of scope from CLINC150",
    "qqp": "Quora Question Pairs, noisy labels",
    "mqp": "patients' questions, judged by doctors",
    "paws_qqp": "PAWS-QQP: the same words in another order",
    "pararel": "ParaRel: other wordings, other subjects",
    "banking77": "BANKING77",
    "clinc150": "CLINC150",
    "uqv100": "UQV100, variants of search queries",
}
_SHOWN = (0.8, 0.9, 0.95, 0.99)


def main() -> None:
    results = [json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))]
    known = {one["name"]: one for one in results if one.get("name") in _WHAT}
    if not known:
        sys.exit(f"there is nothing in {FOLDER}; run make eval")
    sets = [known[name] for name in _WHAT if name in known]
    pairs = [one for one in sets if one["kind"] == "pairs"]
    streams = [one for one in sets if one["kind"] == "stream"]
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest[rest.index(END) :]
    parts = [_pairs(pairs), _alone(pairs), _guards(sets), _streams(streams)]
    parts += [_compared(streams, "all questions", repeats=True)]
    parts += [_compared(streams, "the questions whose words did not come before", repeats=False)]
    PAGE.write_text(f"{head}{''.join(parts)}{tail}", encoding="utf-8")


def _pairs(sets: list[dict[str, Any]]) -> str:
    heads = ("set", "pairs", "recall", "wrong rate", "precision", "recall at 95 % precision")
    rows = [
        (
            f"{one['name']}: {_WHAT[one['name']]}",
            f"{one['pairs']:,}",
            *(
                _between(one, name)
                for name in ("recall", "wrong_rate", "precision", "recall_at_precision_95")
            ),
        )
        for one in sets
    ]
    return f"{BEGIN}\n{_table(heads, rows)}"


def _alone(sets: list[dict[str, Any]]) -> str:
    rows = []
    for one in sets:
        fixed = {at["threshold"]: at for at in one["compared"]["fixed"]}
        rows.append(
            (
                one["name"],
                *(
                    " / ".join(
                        _share(fixed[at][name]) for name in ("recall", "wrong_rate", "precision")
                    )
                    for at in _SHOWN
                ),
                _share(one["compared"]["recall_at_precision_95"]),
            )
        )
    heads = ("set", *(f"{at:.2f}" for at in _SHOWN), "recall at 95 % precision")
    said = (
        "\nThe same pairs, served by thresholds alone: recall / wrong rate / precision, and the "
        "recall at 95 %\nprecision of the best threshold.\n\n"
    )
    return said + _table(heads, rows)


def _guards(sets: list[dict[str, Any]]) -> str:
    rows = []
    for one in sets:
        each = {guard["guard"]: guard for guard in one["guards"]}
        together = each.pop("all")
        most = sorted(each.values(), key=lambda lock: -lock["different_vetoed"])
        named = [lock for lock in most if lock["different_vetoed"]]
        rows.append(
            (
                one["name"],
                _of(together, "same"),
                _of(together, "different"),
                ", ".join(f"{g['guard']} {g['different_vetoed']}" for g in named[:3]) or "-",
            )
        )
    heads = ("set", "right proposals lost", "wrong proposals prevented")
    return (
        "\nWhat all guards together do at 0.90:\n\n"
        f"{_table((*heads, 'the guards that prevent most'), rows)}"
    )


def _streams(sets: list[dict[str, Any]]) -> str:
    heads = ("set", "questions", "hit rate", "wrong of hits", "out of scope served")
    rows = [
        (
            f"{one['name']}: {_WHAT[one['name']]}",
            f"{one['questions']:,}",
            _between(one, "hit_rate"),
            _between(one, "wrong_share_of_hits"),
            _between(one, "out_of_scope_served"),
            _share(one["exact_repeats"]),
        )
        for one in sets
    ]
    said = (
        "\nStreams, served by AskOnce. Needs come by Zipf's law with the exponent 0.8, and one "
        "question in 20\n(customers) or 25 is out of scope.\n\n"
    )
    return said + _table((*heads, "exact repeats"), rows)


def _compared(sets: list[dict[str, Any]], which: str, *, repeats: bool) -> str:
    def both(result: dict[str, Any]) -> str:
        one = result if repeats else result["without_repeats"]
        return f"{_share(one['hit_rate'])} / {_share(one['wrong_share_of_hits'])}"

    rows = []
    for one in sets:
        fixed = {at["threshold"]: at for at in one["compared"]["fixed"]}
        alone = (both(fixed[at]) for at in _SHOWN)
        rows.append((one["name"], both(one), *alone, *map(both, one["compared"]["vcache"])))
    deltas = (f"vCache {at['delta']}" for at in sets[0]["compared"]["vcache"]) if sets else ()
    heads = ("set", "AskOnce", *(f"{at:.2f} alone" for at in _SHOWN), *deltas)
    return f"\nThe same streams compared, {which}: hit rate / wrong of hits.\n\n" + _table(
        heads, rows
    )


def _of(lock: dict[str, Any], which: str) -> str:
    part, whole = lock[f"{which}_vetoed"], lock[f"{which}_proposed"]
    return f"{_share(part / whole if whole else None)} ({part:,} of {whole:,})"


def _between(result: dict[str, Any], name: str) -> str:
    if result[name] is None:
        return "-"
    low, high = result["intervals"][name]
    return f"{_share(result[name])} [{low * 100:.1f}, {high * 100:.1f}]"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.1f} %"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace(
        f"| {' | '.join(('---',) * len(heads))} |", f"|{'---|' * len(heads)}"
    )


if __name__ == "__main__":
    main()
