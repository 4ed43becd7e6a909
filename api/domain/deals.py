"""Deals and what is allocated to them: stages, kinds of securities, and who may approve."""

from enum import StrEnum


class DealStage(StrEnum):
    """How far a deal has come."""

    INITIAL_REVIEW = "INITIAL_REVIEW"
    SCREENING = "SCREENING"
    DILIGENCE = "DILIGENCE"
    IC_REVIEW = "IC_REVIEW"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"
    INVESTED = "INVESTED"
    REJECTED = "REJECTED"


class SecurityKind(StrEnum):
    """What the money buys."""

    EQUITY = "EQUITY"
    DEBT = "DEBT"
    CONVERTIBLE = "CONVERTIBLE"
    WARRANT = "WARRANT"
    OPTION = "OPTION"
    PREFERRED = "PREFERRED"
    COMMON = "COMMON"
    NOTE = "NOTE"


class Approval(StrEnum):
    """What has become of the question whether an allocation is approved."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


TAKES_NO_ALLOCATIONS = frozenset({DealStage.CLOSED, DealStage.REJECTED})
"""The stages in which nothing more is committed to a deal."""
