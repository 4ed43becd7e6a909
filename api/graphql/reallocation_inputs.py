"""What a reallocation is asked for with."""

from collections.abc import Mapping
from typing import Any, TypeVar

import strawberry
from strawberry.types.arguments import InputContext
from strawberry.types.base import get_object_definition
from strawberry.utils.str_converters import to_snake_case

from api.domain.money import Cents
from api.graphql.scalars import BigInt

T = TypeVar("T")


@strawberry.input(description="New planned reserves for a company.")
class ReallocationProposalInput:
    """New planned reserves for a company."""

    company_id: strawberry.ID = strawberry.field(description="The company.")
    planned_reserves_cents: Cents = strawberry.field(description="Its planned reserves, 0 or more.")
    allocation_cap_cents: Cents | None = strawberry.field(
        default=None, description="A new cap; the stored one stays unless given."
    )


@strawberry.input(description="A reallocation to preview.")
class PreviewReallocationInput:
    """A reallocation to preview."""

    fund_id: strawberry.ID = strawberry.field(description="The fund.")
    expected_version: BigInt = strawberry.field(description="The allocation version that you saw.")
    proposals: list[ReallocationProposalInput] = strawberry.field(description="1 to 1000 proposals.")


@strawberry.input(description="A reallocation to commit.")
class CommitReallocationInput:
    """A reallocation to commit."""

    fund_id: strawberry.ID = strawberry.field(description="The fund.")
    expected_version: BigInt = strawberry.field(description="The allocation version that you saw.")
    proposals: list[ReallocationProposalInput] = strawberry.field(description="1 to 1000 proposals.")
    reason: str | None = strawberry.field(default=None, description="Why; at most 1000 characters.")
    idempotency_key: str | None = strawberry.field(default=None, description="1 to 128 characters; see the README.")


def _input(type_: type[T], given: Mapping[str, Any], _context: InputContext) -> T:
    """An input with proposals. There may be a thousand; Strawberry works out the types of all fields for each."""
    proposals = [
        ReallocationProposalInput(
            company_id=one["companyId"],
            planned_reserves_cents=one["plannedReservesCents"],
            allocation_cap_cents=one.get("allocationCapCents"),
        )
        for one in given["proposals"]
    ]
    return type_(**{to_snake_case(name): value for name, value in given.items()} | {"proposals": proposals})


for _type in (PreviewReallocationInput, CommitReallocationInput):
    get_object_definition(_type, strict=True).from_input = _input
