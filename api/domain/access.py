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
    """On whose behalf a request runs, in which organization.

    ``user_id`` is null for an API key, which is named by ``api_key_id``, and for the system itself.
    """

    organization_id: int
    user_id: int | None
    role: Role
    api_key_id: int | None = None


REQUIRED_ROLES: dict[str, Role] = {
    "previewReallocation": Role.VIEWER,
    "commitReallocation": Role.EDITOR,
    "createFund": Role.EDITOR,
    "updateFund": Role.EDITOR,
    "createPortfolioCompany": Role.EDITOR,
    "updatePortfolioCompany": Role.EDITOR,
    "createInvestment": Role.EDITOR,
    "updateInvestment": Role.EDITOR,
    "createInvestmentLot": Role.EDITOR,
    "updateInvestmentLot": Role.EDITOR,
    "createForecastSnapshot": Role.EDITOR,
    "renameForecastSnapshot": Role.EDITOR,
    "createReserveAllocation": Role.EDITOR,
    "createReserveAllocations": Role.EDITOR,
    "updateReserveAllocation": Role.EDITOR,
    "createPortfolio": Role.EDITOR,
    "createHolding": Role.EDITOR,
    "recordHoldingStatements": Role.EDITOR,
    "importStatements": Role.EDITOR,
    "importActivities": Role.EDITOR,
    "importValuations": Role.EDITOR,
    "createHoldingActivities": Role.EDITOR,
    "updateHoldingActivity": Role.EDITOR,
    "deleteHoldingActivity": Role.EDITOR,
    "recordHoldingValuations": Role.EDITOR,
    "deleteHoldingValuation": Role.EDITOR,
    "recalculateIrr": Role.EDITOR,
    "recordBenchmarkPrices": Role.EDITOR,
    "addCapitalSource": Role.EDITOR,
    "updateCapitalAmount": Role.EDITOR,
    "updateCapitalRate": Role.EDITOR,
    "removeCapitalSource": Role.EDITOR,
    "importCapitalHistory": Role.EDITOR,
    "createCapitalCall": Role.EDITOR,
    "changeCapitalCallStatus": Role.EDITOR,
    "recordCapitalCallPayment": Role.EDITOR,
    "recordDistribution": Role.EDITOR,
    "checkDueCalls": Role.EDITOR,
    "createDeal": Role.EDITOR,
    "updateDeal": Role.EDITOR,
    "createDealAllocation": Role.EDITOR,
    "updateDealAllocation": Role.EDITOR,
    "deleteDealAllocation": Role.EDITOR,
    "changeDealAllocationStatus": Role.EDITOR,
    "approveDealAllocation": Role.ADMIN,
    "rejectDealAllocation": Role.ADMIN,
    "updateBusinessRules": Role.ADMIN,
    "calculateSnapshot": Role.EDITOR,
    "forgetExpiredKeys": Role.EDITOR,
    "loadDemo": Role.ADMIN,
    "signIn": Role.VIEWER,
    "refreshSession": Role.VIEWER,
    "signOut": Role.VIEWER,
    "changePassword": Role.VIEWER,
    "acceptInvitation": Role.VIEWER,
    "inviteMember": Role.ADMIN,
    "revokeInvitation": Role.ADMIN,
    "changeMemberRole": Role.ADMIN,
    "removeMember": Role.ADMIN,
    "createApiKey": Role.ADMIN,
    "revokeApiKey": Role.ADMIN,
    "apiKeys": Role.ADMIN,
    "invitations": Role.ADMIN,
    "auditEvents": Role.ADMIN,
    "auditVerification": Role.ADMIN,
    "sequenceHealth": Role.ADMIN,
    "repairSequences": Role.ADMIN,
    "eventRecorded": Role.ADMIN,
}
"""The least role for each mutation, and for each other root field that not every member may read."""


FOR_PEOPLE = frozenset({"approveDealAllocation", "rejectDealAllocation"})
"""What takes somebody else's judgement: not for API keys, whatever their role."""

PUBLIC_MUTATIONS = frozenset({"signIn", "refreshSession", "acceptInvitation"})
"""What needs no token, for it is how one is had. Each finds out who asks, and in which organization, by itself."""


def allows(role: Role, action: str) -> bool:
    """True where ``role`` may do ``action``. An action without an entry is a fault of the program: KeyError."""
    return _RANK[role] >= _RANK[REQUIRED_ROLES[action]]
