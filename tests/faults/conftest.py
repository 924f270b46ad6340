"""How long each fuzz test runs on each store, in seconds: `ASKONCE_FUZZ_SECONDS`.

2 by default; `make test-long` sets 16.
"""

import os

FUZZ_SECONDS = float(os.environ.get("ASKONCE_FUZZ_SECONDS", "2"))
