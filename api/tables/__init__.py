"""The shape of the database: SQLModel tables, constraints and names; one file per feature, no behaviour."""

from sqlmodel import SQLModel

from api.tables.audit import AuditEvent, AuditHead
from api.tables.funds import Fund, PortfolioCompany
from api.tables.idempotency import IdempotencyKey
from api.tables.organizations import Membership, Organization, User
from api.tables.portfolios import Holding, HoldingStatement, Portfolio
from api.tables.reallocations import Reallocation

metadata = SQLModel.metadata

GLOBAL_TABLES = frozenset({"organizations", "users", "alembic_version"})
"""Tables without an organization_id; each has policies of its own, see alembic/versions."""

__all__ = [
    "GLOBAL_TABLES",
    "AuditEvent",
    "AuditHead",
    "Fund",
    "Holding",
    "HoldingStatement",
    "IdempotencyKey",
    "Membership",
    "Organization",
    "Portfolio",
    "PortfolioCompany",
    "Reallocation",
    "User",
    "metadata",
]
