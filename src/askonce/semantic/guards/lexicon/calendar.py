"""Months, weekdays and near days, in the languages in which the guards read dates."""

from askonce.semantic.guards.lexicon.word_list import labels_in, numbers_in, read_lists, words_in

_LISTS = read_lists("calendar.txt")

MONTHS = numbers_in(_LISTS["months"])
MAYBE_MONTHS = words_in(_LISTS["maybe months"])
"""Month names that are also words or names: months only beside a number or after "in"."""

WEEKDAYS = numbers_in(_LISTS["weekdays"])
NEAR_DAYS = labels_in(_LISTS["near days"])
PACES = labels_in(_LISTS["paces"])
SPANS = words_in(_LISTS["spans"])
