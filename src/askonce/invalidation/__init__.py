"""Invalidation: which entries must no longer be served, and how every process hears about it.

This package imports `core`, `formats` and `ledger`; `stores` and everything above may import it.
Start with `target.py`: an `Invalidation` says which entries are meant. `sweep.py` removes them from
the stores and `recent_sweeps.py` rejects answers that arrive too late. `events.py` maps events to
invalidations; `consumer.py` and `sources.py` read events from Redis and PostgreSQL. Documents
(`document_sync.py`), the `Cache-Groups` headers (`cache_groups.py`), webhook signatures
(`webhooks.py`) and the audit log (`audit.py`, `append_file.py`) are separate modules.
"""
