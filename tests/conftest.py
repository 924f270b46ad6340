"""Fixtures of every test: real servers, each started when the first test asks for it."""

from tests.servers.engines import engines
from tests.servers.postgres_server import postgres_server, postgres_url
from tests.servers.redis_servers import (
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

__all__ = [
    "engines",
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
]
