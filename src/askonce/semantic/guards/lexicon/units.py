"""Numbers in words, multiples, Roman numerals, and units with their dimension and size."""

from askonce.semantic.guards.lexicon.word_list import labels_in, numbers_in, read_lists

_LISTS = read_lists("units.txt")

NUMBER_WORDS = numbers_in(_LISTS["numbers"])
MULTIPLES = numbers_in(_LISTS["multiples"])
ROMANS = numbers_in(_LISTS["roman numerals"])

UNITS: dict[str, tuple[str, float]] = {
    word: (dimension, float(factor))
    for word, label in labels_in(_LISTS["units"]).items()
    for dimension, factor in [label.split()]
}
"""Each name of a unit, with its dimension and the size of one unit in it."""
