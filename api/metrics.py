"""What is counted, for Prometheus. Labels come from closed sets, so that no client can grow them."""

import os
from functools import cache

from prometheus_client import Counter, Gauge, Histogram

OPERATIONS = Histogram(
    "tranche_operation_seconds",
    "Time to answer one GraphQL operation.",
    ["operation", "type"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
ERRORS = Counter("tranche_errors_total", "Errors in answers, top-level and userErrors, by code.", ["code"])
REPLAYS = Counter("tranche_idempotency_replays_total", "Writes answered from an earlier one.", ["mutation"])
CONFLICTS = Counter("tranche_version_conflicts_total", "Writes refused for a stale version.", ["mutation"])
RETRIES = Counter(
    "tranche_transaction_retries_total", "Transactions run again after a serialization fault or deadlock."
)
CACHE_LOOKUPS = Counter(
    "tranche_cache_lookups_total",
    "Answers looked for in a cache: hit, or miss where one had to wait.",
    ["cache", "result"],
)
CACHE_REFRESHES = Counter(
    "tranche_cache_refreshes_total", "Answers of a cache worked out before being asked for.", ["cache"]
)
CACHE_BROUGHT_UP = Counter(
    "tranche_cache_brought_up_total", "Answers of a cache brought up by what was written since.", ["cache"]
)
SUBSCRIPTIONS = Gauge("tranche_subscriptions", "Subscriptions that are being answered.", multiprocess_mode="livesum")
POOL_CONNECTIONS = Gauge(
    "tranche_pool_connections", "Connections of a pool.", ["pool", "state"], multiprocess_mode="livesum"
)


@cache
def operation_seconds(operation: str, type_name: str) -> Histogram:
    """The histogram of one operation, found once: looking it up by its labels costs more than observing."""
    return OPERATIONS.labels(operation, type_name)


@cache
def cache_lookups(name: str, result: str) -> Counter:
    """The counter of one cache's hits or misses."""
    return CACHE_LOOKUPS.labels(name, result)


@cache
def cache_brought_up(name: str) -> Counter:
    """The counter of what one cache has brought up."""
    return CACHE_BROUGHT_UP.labels(name)


@cache
def cache_refreshes(name: str) -> Counter:
    """The counter of what one cache has worked out ahead."""
    return CACHE_REFRESHES.labels(name)


IS_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR" in os.environ
"""Whether several worker processes share their figures through files."""
