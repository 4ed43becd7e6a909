"""How the server is doing, as far as clients may know."""

from decimal import Decimal

import strawberry

from api.domain.money import ratio_or_none
from api.graphql.context import Info
from api.graphql.scalars import BigInt


@strawberry.type(description="One of the caches of the server process that answers, since it was started.")
class CacheHealth:
    """One of the caches of this server process."""

    name: str = strawberry.field(description="What it holds: `fundMetrics`.")
    hits: BigInt = strawberry.field(description="How often an answer was there that still held.")
    misses: BigInt = strawberry.field(description="How often one had to be worked out, or waited for.")
    hit_rate: Decimal | None = strawberry.field(
        description="Hits / (hits + misses); null before anything was looked for."
    )
    entry_count: int = strawberry.field(description="How many answers it holds.")
    bytes: BigInt = strawberry.field(description="What they take of memory, by estimate.")


@strawberry.type(description="How the server is doing.")
class SystemHealth:
    """How the server is doing."""

    caches: list[CacheHealth] = strawberry.field(description="The caches of the process that answers.")


@strawberry.type
class SystemQuery:
    """The root field about the server itself."""

    @strawberry.field(description="How the server is doing.")
    async def system(self, info: Info) -> SystemHealth:
        """How the server is doing."""
        await info.context.authorise()
        kept = info.context.kept
        if kept is None:
            return SystemHealth(caches=[])
        return SystemHealth(
            caches=[
                CacheHealth(
                    name="fundMetrics",
                    hits=BigInt(kept.hits),
                    misses=BigInt(kept.misses),
                    hit_rate=ratio_or_none(kept.hits, kept.hits + kept.misses),
                    entry_count=len(kept),
                    bytes=BigInt(kept.bytes),
                )
            ]
        )
