"""Places and peoples, for texts without capitals."""

from askonce.semantic.guards.lexicon.word_list import labels_in, read_lists, words_in

_LISTS = read_lists("places.txt")

PLACES = words_in(_LISTS["places"])
PEOPLES = labels_in(_LISTS["peoples"])
"""The name of a people or its language, with the place that it comes from."""
