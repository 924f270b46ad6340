"""The ledger: what answers cost and what the cache saved.

This package imports only `core`; every package except `core` and `formats` may import it. Start
with `ledger.py`: `Ledger` counts calls in memory, `daily.py` adds up money by day, tenant, model
and route, `persistence.py` writes both to the store, and `savings.py` reads them back as `Savings`.
`prices.py` says what an answer cost; `settings.py` has the `[ledger]` settings.
"""
