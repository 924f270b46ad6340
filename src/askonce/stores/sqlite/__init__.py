"""The SQLite store: one file that threads and processes of a machine share.

`store` is the store itself; `file` opens the database and translates its errors, `schema` has the
tables, `changes` the change feed, `leases` the leases, `pages` the parts of long operations, and
`inspection` the check. Only `stores/open_store` and the packages from `library` upwards import
this package. Start at `store`.
"""
