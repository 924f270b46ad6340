"""The memory store: entries as objects in this process, bounded in real bytes.

`store` is the store itself, `eviction` chooses the entries that leave, `weight` computes the bytes
of an entry and shares its strings, `epoch_table` is the table beside the entries. Only
`stores/open_store` and the packages from `library` upwards import this package. Start at `store`.
"""
