"""`python -m askonce.cli` is `askonce`."""

import sys

from askonce.cli import main

sys.exit(main())
