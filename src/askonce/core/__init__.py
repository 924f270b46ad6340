"""The values, decisions and protocols that every other package builds on, without any I/O.

Every package may import `core`; it imports nothing of AskOnce, and touches no clock, randomness,
file or socket. Only `core.runtime` (time, threads, event loops) and `core.rules.re2` (a library)
are impure. Start with `models` (keys, entries, calls), then `protocols` (what a store, an upstream
or an embedder guarantees), `keys` (what makes two questions the same) and `policy` (what may be
read, served and stored).
"""
