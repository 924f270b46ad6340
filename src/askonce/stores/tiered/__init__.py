"""The tiered store: the process's memory, the stores below it, and how processes share them.

A package above `stores` uses `Tiers` (one mode's view of all tiers); only `library` opens them,
through `TierStack`. This package knows no engine: it sees stores through `core.protocols.Store`.
Start reading in `tiers.py`; `layers.py` has the configuration, `coherence.py` how a process
follows the invalidations of others, `leases.py` how one process of many asks the provider, and
`write_behind.py` how entries reach the stores.
"""
