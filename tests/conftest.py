"""Fixtures of every test: real servers, each started when the first test asks for it."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

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

# No deadline: how long an example takes says how busy the machine is. CI tries the same examples
# each time; elsewhere every run tries others, and prints how to repeat one that fails.
settings.register_profile(
    "askonce",
    deadline=None,
    derandomize="CI" in os.environ,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("askonce")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need something which this machine has not (the marker `needs`)."""
    missing = [item for item in items if not all(m.args[0] for m in item.iter_markers("needs"))]
    if missing:
        items[:] = [item for item in items if item not in missing]
        config.hook.pytest_deselected(items=missing)


# A job in the background of a script ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
