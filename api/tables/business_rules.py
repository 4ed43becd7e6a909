"""The thresholds that each organization has set for its rules."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel

from api.tables.columns import cents, ratio, same_organization, timestamp


class BusinessRuleVersion(SQLModel, table=True):
    """All thresholds of an organization from one change to the next; the highest version holds. Append-only.

    No row: the defaults of ``domain.business_rules`` hold, as version 1; so rows begin with version 2. Amounts are in
    cents of the fund's currency, the others fractions.
    """

    __tablename__ = "business_rules"
    __table_args__ = (
        same_organization("changed_by_id", "memberships", target_column="user_id"),
        CheckConstraint("version >= 2", name="version"),
        CheckConstraint("allocation_min_cents > 0", name="allocation_min"),
        CheckConstraint("allocation_max_cents >= allocation_min_cents", name="allocation_max"),
        CheckConstraint("deal_total_caution_cents > 0", name="deal_total_caution"),
        CheckConstraint("approval_above_cents >= 0", name="approval_above"),
        CheckConstraint("utilization_max > 0 AND utilization_max <= 10", name="utilization_max"),
        CheckConstraint(
            "utilization_caution > 0 AND utilization_caution <= utilization_max", name="utilization_caution"
        ),
        CheckConstraint("increase_caution BETWEEN 0 AND 1000", name="increase_caution"),
        CheckConstraint("concentration_max BETWEEN 0 AND 1", name="concentration_max"),
        CheckConstraint("fund_size_share_max BETWEEN 0 AND 10", name="fund_size_share_max"),
    )

    organization_id: int = Field(primary_key=True, sa_type=BigInteger, foreign_key="organizations.id")
    version: int = Field(primary_key=True, sa_type=BigInteger)
    allocation_min_cents: int = cents(nullable=False)
    allocation_max_cents: int = cents(nullable=False)
    deal_total_caution_cents: int = cents(nullable=False)
    approval_above_cents: int = cents(nullable=False)
    utilization_max: Decimal = ratio(nullable=False)
    utilization_caution: Decimal = ratio(nullable=False)
    increase_caution: Decimal = ratio(nullable=False)
    concentration_max: Decimal = ratio(nullable=False)
    fund_size_share_max: Decimal = ratio(nullable=False)
    changed_by_id: int | None = Field(default=None, sa_type=BigInteger)
    created_at: datetime = timestamp()
