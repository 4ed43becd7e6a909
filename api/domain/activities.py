"""Cash flows of holdings: their closed list of types, which way each moves money, and what it counts as."""

from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum

from api.domain.dates import DATE_MAX, DATE_MIN
from api.errors import ErrorCode, Problem, invalid

NOTE_LENGTH_MAX = 1000


class ActivityType(StrEnum):
    """What a cash flow is. Amounts are positive; ``sign`` gives them their direction."""

    INVESTMENT = "INVESTMENT"
    REGULAR_INVESTMENT = "REGULAR_INVESTMENT"
    TAX_UPLIFT = "TAX_UPLIFT"
    PRODUCT_SWITCH_IN = "PRODUCT_SWITCH_IN"
    FUND_SWITCH_IN = "FUND_SWITCH_IN"
    WITHDRAWAL = "WITHDRAWAL"
    REGULAR_WITHDRAWAL = "REGULAR_WITHDRAWAL"
    PRODUCT_SWITCH_OUT = "PRODUCT_SWITCH_OUT"
    FUND_SWITCH_OUT = "FUND_SWITCH_OUT"
    DISTRIBUTION = "DISTRIBUTION"
    FEE = "FEE"
    DIVIDEND_REINVESTED = "DIVIDEND_REINVESTED"

    @property
    def sign(self) -> int:
        """-1 where the investor pays, 1 where the investor is paid; a fee is paid from the holding and counts as 1."""
        return SIGNS[self]


MONEY_IN = frozenset(
    {
        ActivityType.INVESTMENT,
        ActivityType.REGULAR_INVESTMENT,
        ActivityType.TAX_UPLIFT,
        ActivityType.PRODUCT_SWITCH_IN,
        ActivityType.FUND_SWITCH_IN,
    }
)
MONEY_OUT = frozenset(
    {
        ActivityType.WITHDRAWAL,
        ActivityType.REGULAR_WITHDRAWAL,
        ActivityType.PRODUCT_SWITCH_OUT,
        ActivityType.FUND_SWITCH_OUT,
        ActivityType.DISTRIBUTION,
    }
)
SIGNS: Mapping[str, int] = {
    kind: -1 if kind in MONEY_IN or kind is ActivityType.DIVIDEND_REINVESTED else 1 for kind in ActivityType
}
"""The investor's side of each type, by its name."""

FUND_SWITCHES = frozenset({ActivityType.FUND_SWITCH_IN, ActivityType.FUND_SWITCH_OUT})
"""From one holding of a portfolio to another: nothing moves for the portfolio, nothing is paid in or distributed."""

PAID_IN = MONEY_IN - FUND_SWITCHES
"""What counts as paid in. A dividend that is reinvested never left."""

DISTRIBUTED = MONEY_OUT - FUND_SWITCHES
"""What counts as distributed. A fee is not the investor's."""


def check_activity(
    *, amount_cents: int, occurred_on: date, note: str | None, report: Callable[[Problem], None]
) -> None:
    """Reports everything that is wrong with a cash flow, by field."""
    if amount_cents <= 0:
        message = "An amount is above 0; the type tells which way the money went."
        code = ErrorCode.NEGATIVE_AMOUNT if amount_cents < 0 else ErrorCode.INVALID_INPUT
        report(Problem(code, message, ("amount_cents",), expected="above 0", actual=str(amount_cents)))
    if not DATE_MIN <= occurred_on <= DATE_MAX:
        report(invalid("occurred_on", f"Between {DATE_MIN} and {DATE_MAX}.", actual=str(occurred_on)))
    if note is not None and len(note) > NOTE_LENGTH_MAX:
        message = f"At most {NOTE_LENGTH_MAX} characters."
        report(invalid("note", message, expected=str(NOTE_LENGTH_MAX), actual=str(len(note))))
