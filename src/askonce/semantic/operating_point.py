"""The operating point of matching by meaning, unless a user says otherwise.

A file of its own, because the guards take a tenth of a second to import and settings need none.
"""

from typing import Final

THRESHOLD: Final = 0.90
"""The cosine below which nothing is served."""

CANDIDATES: Final = 5
"""How many of the nearest entries are looked at. Where a guard speaks against the nearest one, the
next may be right."""
