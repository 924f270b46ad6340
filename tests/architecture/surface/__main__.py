"""Rewrites `tests/architecture/public_surface.txt`."""

from tests.architecture.surface import SNAPSHOT, surface

SNAPSHOT.write_text(surface(), encoding="utf-8")
print(f"wrote {SNAPSHOT}; read the difference before you commit it")
