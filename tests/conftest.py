"""Fixtures of every test: real servers, each started when the first test asks for it."""

import signal

from tests.fixtures.engines import engines
from tests.fixtures.postgres_server import postgres_server, postgres_url
from tests.fixtures.redis_servers import (
    redis7,
    redis7_url,
    redis8,
    redis8_url,
    redis_cluster,
    redis_cluster_url,
    redis_pair,
    redis_sentinel_url,
    redis_tls,
)
from tests.fixtures.scripted import clock, under_test
from tests.fixtures.stores import context, mode, new_store, run, store

__all__ = [
    "clock",
    "context",
    "engines",
    "mode",
    "new_store",
    "postgres_server",
    "postgres_url",
    "redis7",
    "redis7_url",
    "redis8",
    "redis8_url",
    "redis_cluster",
    "redis_cluster_url",
    "redis_pair",
    "redis_sentinel_url",
    "redis_tls",
    "run",
    "store",
    "under_test",
]

# A job in the background of a script ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
