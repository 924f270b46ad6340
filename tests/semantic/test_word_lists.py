"""The files of word lists, which translators edit."""

from collections import Counter
from pathlib import Path

import pytest

from askonce.semantic.guards.lexicon import english, opposites, units, word_list

FILES = sorted(Path(word_list.__file__).parent.glob("*.txt"))


def lists_in(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[object]]:
    (folder / "test.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr(word_list, "__file__", str(folder / "word_list.py"))
    return {name: [*groups] for name, groups in word_list.read_lists("test.txt").items()}


def test_a_list_has_groups_with_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# c\n\n[one]\na b\n# c\n\nday 1: daily\n    each-day\n[two]\nc# , $ 昨天\n"

    assert lists_in(text, tmp_path, monkeypatch) == {
        "one": [("a", ("a", "b")), ("day 1", ("daily", "each-day"))],
        "two": [("c#", ("c#", ",", "$", "昨天"))],
    }


def test_words_outside_a_list_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError):
        lists_in("a b\n[one]\nc\n", tmp_path, monkeypatch)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_list_of_the_package_has_words_and_a_comment(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line.startswith("[")]

    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert [
        lines[at] for at in range(len(lines)) if lines[at] in names and lines[at - 1][:2] != "# "
    ] == []
    assert all(word_list.read_lists(file.name).values())


def test_the_lists_mean_what_they_say() -> None:
    assert english.ALIASES["cellphone"] == "phone"
    assert english.ALIASES["favourites"] == "best"  # on the second line of its group
    assert {"because", "nobody", "gonna"} <= english.STOP
    assert {len(pair) for pair in opposites.OPPOSITES} == {2}
    assert {"c#", "c++", "swift"} <= {*opposites.KINDS[3]}
    assert units.UNITS["kgs"] == ("mass", 1000)
    assert units.MULTIPLES["lakh"] == 100_000
