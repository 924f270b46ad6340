"""The Redis store, vector index and event reader: one server, a sentinel's service or a cluster.

`store` is the store itself. Below it, `epoch_index` holds the epochs and the change feed (as
`scripts` keeps them in Lua), `calls` makes commands, `routes` finds the server of a key, and
`connections` talks to one server. `vectors` and `events` are the index and the event reader. Only
the `open_*` modules of `stores`, `semantic/assembly` and the packages from `library` upwards
import this package, always lazily, because it needs the extra `redis`. Start at `store`.
"""
