"""The words that the guards know: closed lists, written by hand, never taken from a data set.

`english` has the little words and the near synonyms, `ordinary` the plain vocabulary that no name
is made of, `stems` the stemmer, `opposites` what excludes each other; the rest are `places`,
`languages`, `units` and the `calendar`. Only `guards` imports this package. Start in `english`.
"""
