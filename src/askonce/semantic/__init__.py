"""The semantic layer: answers for questions that ask the same in other words.

`lookup` is step 8 of the request path: it embeds a question (`embedding`, `embedders/`), asks the
index for the nearest questions of its scope (`index/`; shared indexes are in `stores`), and lets
the guards (`guards/`) and the threshold decide. `shadow` and `agreement` compare without serving,
`reindex` keeps the index equal to the entries, `evaluation/` measures all of it on sets of
questions. `settings` has the user's choices, `assembly` puts the parts together. This package
imports `core`, `formats`, `ledger`, `invalidation` and `stores`; `pipeline` and everything above it
may import this one. Start reading in `lookup`.
"""
