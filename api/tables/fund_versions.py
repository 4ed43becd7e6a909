"""How often what a fund's metrics are made of has changed, and what the latest writes have changed of it."""

from sqlalchemy import BigInteger, CheckConstraint, Text, text
from sqlmodel import Field, SQLModel

from api.tables.columns import same_organization


class FundMetricsVersion(SQLModel, table=True):
    """Moves with every write that can change a fund's metrics, in the same transaction. No row: nothing yet.

    ``changes``: a line for each of the latest versions, with the effects of the write that made it; see
    ``domain.fund_metric_changes``. A version without a line was made by a write whose effects are not told.
    """

    __tablename__ = "fund_metrics_versions"
    __table_args__ = (same_organization("fund_id", "funds"), CheckConstraint("version >= 1", name="version"))

    organization_id: int = Field(primary_key=True, sa_type=BigInteger, foreign_key="organizations.id")
    fund_id: int = Field(primary_key=True, sa_type=BigInteger)
    version: int = Field(sa_type=BigInteger)
    changes: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")})
