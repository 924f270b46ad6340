"""Stores keep entries, epochs, leases and counters; shared vector indexes and event readers too.

`base.BaseStore` is the guide for a new store. `memory`, `sqlite`, `redis` and `postgres` hold one
engine each and do not import each other; `tiered` puts several stores behind each other and
imports no engine. The modules beside them are what the engines share: `envelope` is the stored
form of an entry, `context` what a store gets from its process, `open_store` and
`open_event_reader` choose an engine by its address.

The package imports `core`, `formats`, `ledger` and `invalidation`; `semantic` and every package
above it may import this one. Start reading at `base`, then `sqlite/store`.
"""
