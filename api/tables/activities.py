"""The dated cash flows of holdings."""

from datetime import date

from sqlalchemy import BigInteger, CheckConstraint, Date, Index, text
from sqlmodel import Field

from api.tables.columns import VersionedRow, cents, same_organization

ACTIVITY_TYPES = (
    "activity_type IN ('INVESTMENT', 'REGULAR_INVESTMENT', 'TAX_UPLIFT', 'PRODUCT_SWITCH_IN', 'FUND_SWITCH_IN',"
    " 'WITHDRAWAL', 'REGULAR_WITHDRAWAL', 'PRODUCT_SWITCH_OUT', 'FUND_SWITCH_OUT', 'DISTRIBUTION', 'FEE',"
    " 'DIVIDEND_REINVESTED')"
)


class HoldingActivity(VersionedRow, table=True):
    """One cash flow of a holding. The amount is positive; its type tells which way the money went."""

    __tablename__ = "holding_activity_log"
    __table_args__ = (
        same_organization("holding_id", "portfolio_funds"),
        Index("holding_activity_log_holding_idx", "organization_id", "holding_id", "occurred_on", "id"),
        CheckConstraint(ACTIVITY_TYPES, name="activity_type"),
        CheckConstraint("amount_cents > 0", name="amount"),
        CheckConstraint("length(note) <= 1000", name="note"),
    )

    holding_id: int = Field(sa_type=BigInteger)
    activity_type: str
    amount_cents: int = cents(nullable=False)
    occurred_on: date = Field(sa_type=Date)
    is_recallable: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    note: str | None = None
