"""How long the long tests run: `ASKONCE_FUZZ_SECONDS`, for each fuzz on each store."""

import os

FUZZ_SECONDS = float(os.environ.get("ASKONCE_FUZZ_SECONDS", "16"))
