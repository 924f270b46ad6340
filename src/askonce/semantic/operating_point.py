"""The default operating point of semantic matching.

It has a file of its own, because settings need it and the guards take 0.1 s to import.
"""

from typing import Final

THRESHOLD: Final = 0.90
"""The cosine below which nothing is served."""

CANDIDATES: Final = 5
"""How many of the nearest entries are judged. If a guard vetoes the first, the next may serve."""
