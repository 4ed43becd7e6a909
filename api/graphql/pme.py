"""Public-market equivalents: what a holding's flows would have come to in an index."""

from datetime import date
from decimal import Decimal
from typing import Any

import strawberry

from api.graphql.declare import argument, batch
from api.reads.pme import HOLDING_PME, IndexedFlows


@strawberry.type(
    description="What the flows of a holding would have come to in an index. What cannot be computed is null, and the "
    "reason says why."
)
class PmeResult:
    """What the flows of a holding would have come to in an index."""

    ks_pme: Decimal | None = strawberry.field(
        description="Kaplan and Schoar's: what came out and is left over what went in, each worth what the index made "
        "of it. Above 1 the holding beat the index."
    )
    ln_pme: Decimal | None = strawberry.field(
        description="Long and Nickels': the annual rate of the same flows in the index, as a fraction."
    )
    pme_plus: Decimal | None = strawberry.field(
        description="PME+: the annual rate of the index, with distributions scaled so that both end at the same value."
    )
    direct_alpha: Decimal | None = strawberry.field(
        description="Direct Alpha: the annual rate by which the holding beat the index, as a fraction."
    )
    reason: str | None = strawberry.field(
        description="Why something is null: NO_VALUATION, NO_PRICE (a flow or the valuation lies before the index's "
        "first price, or there is no such benchmark), NO_PAID_IN, NO_DISTRIBUTION (PME+ has nothing to scale), "
        "INSUFFICIENT_CASH_FLOWS, NO_SIGN_CHANGE, DID_NOT_CONVERGE or MULTIPLE_ROOTS."
    )
    as_of: date = strawberry.field(
        description="The day to which it is measured: that of the last valuation on or before the one asked for, "
        "where there is one."
    )


def _result(found: IndexedFlows, given: dict[str, Any]) -> PmeResult:
    pme, as_of = found.on(given["as_of"])
    return PmeResult(
        ks_pme=pme.ks_pme,
        ln_pme=pme.ln_pme,
        pme_plus=pme.pme_plus,
        direct_alpha=pme.direct_alpha,
        reason=pme.reason and pme.reason.value,
        as_of=as_of,
    )


def holding_pme() -> Any:
    """The field of a holding that shows its public-market equivalents."""
    return batch(
        "What its flows would have come to in a benchmark, as of a date, by its last valuation on or before the date. "
        "A flow's price is the benchmark's last one by its day.",
        HOLDING_PME,
        make=_result,
        arguments=[
            argument("benchmark", str, "The name under which the benchmark's prices were recorded."),
            argument("as_of", date | None, "The date; today (UTC) unless given."),
        ],
        # Three rates: where zeros of thousands of flows are to be counted, each may take a second.
        is_slow=True,
    )
