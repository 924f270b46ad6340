"""The index of vectors in this process (`core.protocols.VectorIndex`).

`process` is the index: a field of vectors for each scope (`field`), whose rows are kept in columns
(`rows`), saved in one file (`file`). `matrix` compares many questions at once, for measurements.
`semantic` and the packages above it may import this package; shared indexes are in `stores`. Start
in `process`.
"""
