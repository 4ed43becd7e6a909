"""An input that each mutation accepts."""

from collections.abc import Callable
from typing import Any

from tests.contracts.operations import PENDING_ALLOCATION, UNIQUE, Known, new_allocation
from tests.people_client import PASSWORD

INPUTS: dict[str, Callable[[Known], dict[str, Any]]] = {
    "createFund": lambda _known: {"name": f"New fund {next(UNIQUE)}"},
    "updateFund": lambda known: {
        "id": known.ids["Fund"],
        "expectedVersion": str(known.versions["Fund"]),
        "strategy": f"Strategy {next(UNIQUE)}",
    },
    "createPortfolioCompany": lambda known: {"fundId": known.ids["Fund"], "name": "New company"},
    "updatePortfolioCompany": lambda known: {
        "id": known.ids["PortfolioCompany"],
        "expectedVersion": str(known.versions["PortfolioCompany"]),
        "plannedReservesCents": "7",
    },
    "previewReallocation": lambda known: _reallocation(known),
    "commitReallocation": lambda known: _reallocation(known) | {"reason": "Because."},
    "createInvestment": lambda known: {
        "companyId": known.ids["PortfolioCompany"],
        "investedOn": "2024-06-30",
        "amountCents": "1",
    },
    "updateInvestment": lambda known: _versioned(known, "Investment") | {"amountCents": "7"},
    "createInvestmentLot": lambda known: {
        "investmentId": known.ids["Investment"],
        "lotType": "FOLLOW_ON",
        "sharePriceCents": "200",
        "sharesAcquired": "0.5",
        "costBasisCents": "100",
        "acquiredOn": "2024-06-30",
    },
    "updateInvestmentLot": lambda known: _versioned(known, "InvestmentLot") | {"lotType": "SECONDARY"},
    "createForecastSnapshot": lambda known: {"fundId": known.ids["Fund"], "name": f"New snapshot {next(UNIQUE)}"},
    "renameForecastSnapshot": lambda known: (
        _versioned(known, "ForecastSnapshot") | {"name": f"Renamed snapshot {next(UNIQUE)}"}
    ),
    "createReserveAllocation": lambda known: {"snapshotId": known.ids["ForecastSnapshot"]} | _planned(known),
    "createReserveAllocations": lambda known: {
        "snapshotId": known.ids["ForecastSnapshot"],
        "allocations": [_planned(known)],
    },
    "updateReserveAllocation": lambda known: _versioned(known, "ReserveAllocation") | {"score": "1.5"},
    "createDeal": lambda _known: {"name": f"New deal {next(UNIQUE)}"},
    "updateDeal": lambda known: _versioned(known, "Deal") | {"stage": "CLOSING"},
    "createDealAllocation": lambda known: new_allocation(known),
    "updateDealAllocation": lambda known: _versioned(known, "DealAllocation") | {"notes": "New notes."},
    "deleteDealAllocation": lambda known: _versioned(known, PENDING_ALLOCATION),
    "changeDealAllocationStatus": lambda known: _versioned(known, "DealAllocation") | {"status": "WRITTEN_OFF"},
    "approveDealAllocation": lambda known: _versioned(known, PENDING_ALLOCATION) | {"reason": "Because."},
    "rejectDealAllocation": lambda known: _versioned(known, PENDING_ALLOCATION) | {"reason": "Because."},
    "createCapitalCall": lambda known: {"allocationId": known.ids["DealAllocation"], "amountCents": "7"},
    "changeCapitalCallStatus": lambda known: _versioned(known, "CapitalCall") | {"status": "DEFAULTED"},
    "recordCapitalCallPayment": lambda known: {"capitalCallId": known.ids["CapitalCall"], "amountCents": "7"},
    "recordDistribution": lambda known: {
        "allocationId": known.ids["DealAllocation"],
        "amountCents": "7",
        "distributionType": "OTHER",
    },
    "updateBusinessRules": lambda known: {
        "expectedVersion": str(known.versions["BusinessRules"]),
        "dealTotalCautionCents": str(10**9 + next(UNIQUE)),
    },
    "createPortfolio": lambda _known: {"name": f"New portfolio {next(UNIQUE)}", "currency": "USD"},
    "createHolding": lambda known: {"portfolioId": known.ids["Portfolio"], "fundId": known.ids["Fund"]},
    "recordHoldingStatements": lambda known: {
        "statements": [{"holdingId": known.ids["Holding"], "asOf": "2024-06-30", "navCents": "1"}]
    },
    "createHoldingActivities": lambda known: {"activities": [_activity(known)]},
    "updateHoldingActivity": lambda known: (
        _versioned(known, "HoldingActivity") | {"amountCents": "7", "reason": "Typo."}
    ),
    "deleteHoldingActivity": lambda known: _versioned(known, "HoldingActivity") | {"reason": "Twice."},
    "recordHoldingValuations": lambda known: {
        "valuations": [{"holdingId": known.ids["Holding"], "valuedOn": "2024-06-30", "valueCents": "1"}]
    },
    "deleteHoldingValuation": lambda known: _versioned(known, "HoldingValuation"),
    "recalculateIrr": lambda known: {"holdingId": known.ids["Holding"]},
    "recordBenchmarkPrices": lambda known: {
        "prices": [{"benchmark": f"Index {next(UNIQUE)}", "pricedOn": "2024-06-30", "price": "100.5"}]
    },
    "addCapitalSource": lambda _known: {
        "name": f"New source {next(UNIQUE)}",
        "annualRate": "0.05",
        "availableCents": "100",
        "effectiveOn": "2024-06-30",
    },
    "updateCapitalAmount": lambda known: _source(known) | {"availableCents": "200"},
    "updateCapitalRate": lambda known: _source(known) | {"annualRate": "0.06"},
    "removeCapitalSource": lambda known: _source(known),
    "importCapitalHistory": lambda _known: {"entries": [_capital_entry()]},
    "signIn": lambda known: {
        "email": known.secrets["email"],
        "password": PASSWORD,
        "organization": known.secrets["organization"],
    },
    "refreshSession": lambda known: {"refreshToken": known.secrets["refreshToken"]},
    "acceptInvitation": lambda known: {"token": known.secrets["invitationToken"], "password": PASSWORD},
    "changePassword": lambda _known: {"currentPassword": PASSWORD, "newPassword": f"{PASSWORD} and staple"},
    "inviteMember": lambda known: (
        {"email": f"new-{next(UNIQUE)}@{known.secrets['organization']}.example"} | {"role": "VIEWER"}
    ),
    "revokeInvitation": lambda known: {"id": known.ids["Invitation"]},
    "changeMemberRole": lambda known: _versioned(known, "Membership") | {"role": "EDITOR"},
    "removeMember": lambda known: _versioned(known, "Membership"),
    "createApiKey": lambda _known: {"name": f"New key {next(UNIQUE)}", "role": "VIEWER"},
    "revokeApiKey": lambda known: {"id": known.ids["ApiKey"]},
    "repairSequences": lambda _known: {},
}
"""An input that each mutation accepts from whoever has the role in the organization that is known."""


def _versioned(known: Known, type_name: str) -> dict[str, Any]:
    return {"id": known.ids[type_name], "expectedVersion": str(known.versions[type_name])}


def _planned(known: Known) -> dict[str, Any]:
    return {"companyId": known.ids["PortfolioCompany"], "plannedReserveCents": "7"}


def _activity(known: Known) -> dict[str, Any]:
    return {
        "holdingId": known.ids["Holding"],
        "activityType": "INVESTMENT",
        "amountCents": "100",
        "occurredOn": "2024-01-31",
    }


def _capital_entry() -> dict[str, Any]:
    number = next(UNIQUE)
    return {
        "id": f"entry {number}",
        "sourceId": f"source {number}",
        "effectiveDate": "2024-06-30",
        "name": f"Imported source {number}",
        "annualRate": "0.05",
        "availableCents": "100",
        "action": "ADDED",
    }


def _source(known: Known) -> dict[str, Any]:
    return {"sourceId": known.ids["CapitalSource"], "effectiveOn": "2024-06-30"}


def _reallocation(known: Known) -> dict[str, Any]:
    return {
        "fundId": known.ids["Fund"],
        "expectedVersion": str(known.versions["Fund.allocation"]),
        "proposals": [{"companyId": known.ids["PortfolioCompany"], "plannedReservesCents": str(next(UNIQUE))}],
    }
