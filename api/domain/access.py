"""Who may do what: roles, the principal of a request, and the role that each action needs."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """A member's role in one organization."""

    VIEWER = "VIEWER"
    EDITOR = "EDITOR"
    ADMIN = "ADMIN"


_RANK = {Role.VIEWER: 0, Role.EDITOR: 1, Role.ADMIN: 2}


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a request runs, in which organization. ``user_id`` is null for the system itself."""

    organization_id: int
    user_id: int | None
    role: Role


REQUIRED_ROLES: dict[str, Role] = {
    "previewReallocation": Role.VIEWER,
    "commitReallocation": Role.EDITOR,
    "createFund": Role.EDITOR,
    "updateFund": Role.EDITOR,
    "createPortfolioCompany": Role.EDITOR,
    "updatePortfolioCompany": Role.EDITOR,
    "createPortfolio": Role.EDITOR,
    "createHolding": Role.EDITOR,
    "recordHoldingStatements": Role.EDITOR,
    "importStatements": Role.EDITOR,
    "loadDemo": Role.ADMIN,
    "auditEvents": Role.ADMIN,
    "auditVerification": Role.ADMIN,
}
"""The least role for each mutation, and for each root field of a query that not every member may read."""


def allows(role: Role, action: str) -> bool:
    """True where ``role`` may do ``action``. An action without an entry is a fault of the program: KeyError."""
    return _RANK[role] >= _RANK[REQUIRED_ROLES[action]]
