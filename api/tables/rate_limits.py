"""What each caller may still ask for, shared by all processes."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Numeric
from sqlmodel import Field, SQLModel

from api.tables.columns import timestamp

COST = Numeric(20, 6)
"""Costs are whole; what a bucket has been filled up with is not."""


class RateLimit(SQLModel, table=True):
    """A caller's bucket: what was left in it at ``refilled_at``, and what was handed out last.

    Not logged, and so empty after a crash of the database: then everybody has a full one.
    """

    __tablename__ = "rate_limits"
    __table_args__ = (CheckConstraint("length(caller) BETWEEN 1 AND 200", name="caller"), {"prefixes": ["UNLOGGED"]})

    organization_id: int = Field(primary_key=True, sa_type=BigInteger, foreign_key="organizations.id")
    caller: str = Field(primary_key=True)
    remaining: Decimal = Field(sa_type=COST)
    granted: Decimal = Field(sa_type=COST)
    refilled_at: datetime = timestamp()
