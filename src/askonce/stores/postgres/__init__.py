"""The PostgreSQL store, vector index and event reader: a schema that any number of hosts share.

`store` is the store itself, over `statements` and `schema`. `change_feed` and `leases` have
connections of their own; `connections`, `session` and `waiting` keep every call within its
deadline. `vectors` and `events` are the index and the event reader. Only the `open_*` modules of
`stores`, `semantic/assembly` and the packages from `library` upwards import this package, always
lazily, because it needs the extra `postgres`. Start at `store`.
"""
