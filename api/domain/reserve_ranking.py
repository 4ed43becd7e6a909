"""Where a fund's next money is expected to do best: its active companies by their exit on planned reserves."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from api.domain.moic import Multiple, Position, exit_on_planned_reserves, expected_exit


@dataclass(frozen=True, slots=True)
class RankedReserve:
    """A company's place, from 1; what it rests on; and its deployed reserves in cents."""

    rank: int
    company_id: int
    position: Position
    deployed_cents: int

    @property
    def exit_on_planned_reserves(self) -> Multiple:
        """The expected exit on planned reserves, rounded."""
        return exit_on_planned_reserves(self.position)

    @property
    def planned_cents(self) -> int:
        """Planned reserves in cents."""
        return self.position.planned_reserves_cents

    @property
    def remaining_cents(self) -> int:
        """What is planned and not deployed; negative where more was deployed than is planned."""
        return self.planned_cents - self.deployed_cents


def ranking(companies: Iterable[tuple[int, Position, int]]) -> list[RankedReserve]:
    """The active ones of the companies, given as (id, position, deployed reserves in cents), best first.

    By exit multiple x probability before it is rounded; companies without one come last, equal ones by id (DOMAIN:
    reserve ranking).
    """
    held = [(company_id, position, deployed) for company_id, position, deployed in companies if position.is_active]
    held.sort(key=lambda company: _place(company[0], expected_exit(company[1])))
    return [
        RankedReserve(rank, company_id, position, deployed)
        for rank, (company_id, position, deployed) in enumerate(held, start=1)
    ]


def _place(company_id: int, expected: Decimal | None) -> tuple[bool, Decimal, int]:
    return expected is None, Decimal(0) if expected is None else expected.copy_negate(), company_id
