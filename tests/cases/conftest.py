"""What blocks at its first use is done before a test in an event loop."""

from tests.library.conftest import first_uses

__all__ = ["first_uses"]
