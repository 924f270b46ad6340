"""Benchmarks. The cache's log is not shown: the figures say what failed."""

import logging

logging.getLogger("askonce").addHandler(logging.NullHandler())
