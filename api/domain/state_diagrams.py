"""The state machines as a page of Markdown with diagrams in Mermaid."""

from typing import Any

from api.domain.states import ALLOCATION, CAPITAL_CALL, StateMachine

_INTRODUCTION = """\
# State machines

Written by `tranche state-machines` from the tables in `api/domain/states.py`; what is not drawn is refused with
`INVALID_TRANSITION`.
"""

_ALLOCATIONS = """\
Above the organization's threshold an allocation begins as `PENDING_APPROVAL`, else as `COMMITTED`. From
`PENDING_APPROVAL` lead `approveDealAllocation`, `rejectDealAllocation`, and an update to an amount that needs no
approval; `changeDealAllocationStatus` does not. Once something has been paid, payments decide between `PARTIALLY_PAID`
and `FUNDED`. One way cannot be asked for, and is not drawn: raising the amount above the threshold makes a `COMMITTED`
allocation wait for approval again, as long as nothing has been called.
"""

_CALLS = """\
After a payment a call is `PAID` or `PARTIALLY_PAID`. `OVERDUE` comes by itself once the due date and the days of grace
have passed.
"""


def page() -> str:
    """The page, with both machines."""
    sections = [_section("Deal allocations", _ALLOCATIONS, ALLOCATION), _section("Capital calls", _CALLS, CAPITAL_CALL)]
    return "\n".join([_INTRODUCTION, *sections])


def _section(title: str, text: str, machine: StateMachine[Any]) -> str:
    return "\n".join([f"## {title}\n", text, _diagram(machine), _meanings(machine)])


def _diagram(machine: StateMachine[Any]) -> str:
    """The machine as a fenced block of Mermaid; states and arrows in the order of the table."""
    arrows = [f"    [*] --> {state}" for state in machine.initial]
    for before in machine.transitions:
        following = [after for after in machine.transitions if machine.allows(before, after)]
        arrows += [f"    {before} --> {after}" for after in following or ["[*]"]]
    return "\n".join(["```mermaid", "stateDiagram-v2", *arrows, "```", ""])


def _meanings(machine: StateMachine[Any]) -> str:
    lines = [f"| `{state}` | {machine.descriptions[state]} |" for state in machine.transitions]
    return "\n".join(["| state | meaning |", "|---|---|", *lines, ""])
