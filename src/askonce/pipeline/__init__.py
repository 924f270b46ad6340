"""The request pipeline: every call of either mode is answered here, by one async code path.

`library` and the front ends above it (`gateway`, `cli`) import this package; it imports the cache's
parts below it, never a front end. Start reading in `pipeline.py`: its docstring lists the 13 steps
of a request and the module of each. `texts.py` and `functions.py` are the paths of plain questions
and of memoized functions through the same tiers and flights.
"""
