"""Columns that every feature's tables share, and the names of constraints."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKeyConstraint, Identity, Numeric, text
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
}

RATIO = Numeric(10, 6)
"""Rates, probabilities, multiples: six decimals."""


def timestamp() -> Any:
    """A TIMESTAMPTZ that is the time of the transaction unless given."""
    return Field(
        default=None,
        sa_type=DateTime(timezone=True),
        nullable=False,
        sa_column_kwargs={"server_default": text("now()")},
    )


def cents(*, nullable: bool = True, **options: Any) -> Any:
    """A BIGINT amount in the currency's minor unit."""
    return Field(default=None, sa_type=BigInteger, nullable=nullable, **options)


def ratio(*, nullable: bool = True) -> Any:
    """A NUMERIC(10,6) rate, probability or multiple."""
    return Field(default=None, sa_type=RATIO, nullable=nullable)


def same_organization(
    column: str, target: str, *, target_column: str = "id", within: str | None = None
) -> ForeignKeyConstraint:
    """A foreign key that carries the organization, so that a row cannot point at another organization's.

    ``within`` is a column of both tables that must agree, too: what the row keeps of its parent's own parent.
    """
    shared = ["organization_id"] if within is None else ["organization_id", within]
    return ForeignKeyConstraint([*shared, column], [f"{target}.{name}" for name in (*shared, target_column)])


class TenantRow(SQLModel):
    """The key of every row that belongs to an organization: (organization_id, id)."""

    organization_id: int = Field(primary_key=True, sa_type=BigInteger, foreign_key="organizations.id")
    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger, sa_column_args=[Identity()])


class VersionedRow(TenantRow):
    """A row that is updated under an optimistic lock."""

    version: int = Field(default=1, sa_type=BigInteger, sa_column_kwargs={"server_default": text("1")})
    created_at: datetime = timestamp()
    updated_at: datetime = timestamp()
