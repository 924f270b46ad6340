"""Little words of English and near synonyms: small closed lists, written by hand."""

from askonce.semantic.guards.lexicon.word_list import labels_in, read_lists, words_in

_LISTS = read_lists("english.txt")

ROLES = words_in(_LISTS["roles"])
"""Little words that give the next word its role."""

PRONOUNS = words_in(_LISTS["pronouns"])
NEGATIONS = words_in(_LISTS["negations"])

STOP = ROLES | PRONOUNS | NEGATIONS | words_in(_LISTS["little words"])
"""Words that rarely change the answer, unless a guard reads them."""

COORDINATORS = words_in(_LISTS["coordinators"])

ALIASES = labels_in(_LISTS["near synonyms"])
"""Near synonyms, each with the word that stands for the group."""

QUANTIFIERS = labels_in(_LISTS["quantifiers"])
