"""The shape of the database: SQLModel tables, constraints and names; one file per feature, no behaviour."""

from sqlmodel import SQLModel

from api.tables.activities import HoldingActivity
from api.tables.audit import AuditEvent, AuditHead
from api.tables.business_rules import BusinessRuleVersion
from api.tables.capital import CapitalHistoryEntry, CapitalSource
from api.tables.capital_calls import CapitalCall, CapitalCallPayment, Distribution
from api.tables.deals import Deal, DealAllocation
from api.tables.forecasts import ForecastSnapshot, ReserveAllocation
from api.tables.fund_versions import FundMetricsVersion
from api.tables.funds import Fund, PortfolioCompany
from api.tables.idempotency import IdempotencyKey
from api.tables.investments import Investment, InvestmentLot
from api.tables.organizations import Membership, Organization, User
from api.tables.people import (
    ApiKey,
    Invitation,
    RefreshToken,
    Session,
    SignInFailure,
    SignInThrottle,
    UserPassword,
)
from api.tables.portfolios import Holding, HoldingStatement, Portfolio
from api.tables.rate_limits import RateLimit
from api.tables.reallocations import Reallocation
from api.tables.returns import BenchmarkPrice, HoldingIrr, HoldingValuation, PortfolioIrr

metadata = SQLModel.metadata

AUTHENTICATION_TABLES = frozenset(
    {"user_passwords", "sessions", "refresh_tokens", "sign_in_throttles", "sign_in_failures"}
)
"""Tables that only tranche_auth may use: they belong to no organization's data."""

GLOBAL_TABLES = frozenset({"organizations", "users", "alembic_version"}) | AUTHENTICATION_TABLES
"""Tables that are not an organization's; each has policies of its own, see alembic/versions."""

__all__ = [
    "AUTHENTICATION_TABLES",
    "GLOBAL_TABLES",
    "ApiKey",
    "AuditEvent",
    "AuditHead",
    "BenchmarkPrice",
    "BusinessRuleVersion",
    "CapitalCall",
    "CapitalCallPayment",
    "CapitalHistoryEntry",
    "CapitalSource",
    "Deal",
    "DealAllocation",
    "Distribution",
    "ForecastSnapshot",
    "Fund",
    "FundMetricsVersion",
    "Holding",
    "HoldingActivity",
    "HoldingIrr",
    "HoldingStatement",
    "HoldingValuation",
    "IdempotencyKey",
    "Investment",
    "InvestmentLot",
    "Invitation",
    "Membership",
    "Organization",
    "Portfolio",
    "PortfolioCompany",
    "PortfolioIrr",
    "RateLimit",
    "Reallocation",
    "RefreshToken",
    "ReserveAllocation",
    "Session",
    "SignInFailure",
    "SignInThrottle",
    "User",
    "UserPassword",
    "metadata",
]
