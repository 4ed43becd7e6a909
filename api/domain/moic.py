"""Multiples on invested capital: of one company by what was paid for its shares, and of a fund over its companies.

A multiple is what has become of a cent: value / cost (CFA Institute, Performance Measurement: MOIC is the sum of value
and proceeds over invested capital, without regard to time). All are exact until they are rounded once, to six decimals,
half to even. Where a denominator is 0, or a figure is missing, there is none, and the reason says why.

The current price of a share is the company's valuation, which is that of the fund's stake, over the shares that the
fund has bought. So the multiples on initial, follow-on and secondary money, weighed by what was paid, come to valuation
over cost, whatever prices the lots were bought at.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from typing import NamedTuple

from api.domain.money import RATIO_PLACES

EXACTLY = Context(prec=150, rounding=ROUND_HALF_EVEN)
"""More digits than any product of amounts, shares and sums of them has, so that these are exact. Takes ints as well."""


class MoicReason(StrEnum):
    """Why a multiple is missing, or rests on less than everything."""

    NOTHING_INVESTED = "NOTHING_INVESTED"
    NO_LOTS = "NO_LOTS"
    NOTHING_PAID = "NOTHING_PAID"
    NO_EXIT_MOIC = "NO_EXIT_MOIC"
    NO_EXIT_PROBABILITY = "NO_EXIT_PROBABILITY"
    NOTHING_PLANNED = "NOTHING_PLANNED"
    INCOMPLETE = "INCOMPLETE"


class Purchased(NamedTuple):
    """Lots of one kind: how many shares, and the sum of price x shares in cents. The mean price is paid / shares."""

    shares: Decimal = Decimal(0)
    paid_cents: Decimal = Decimal(0)


class Position(NamedTuple):
    """What a company's multiples rest on: amounts in cents, multiples and probabilities as decimals, its lots.

    ``shares`` are those of all lots, whatever their type; ``is_active``: still held.
    """

    invested_cents: int = 0
    current_valuation_cents: int = 0
    realized_cents: int = 0
    planned_reserves_cents: int = 0
    exit_moic: Decimal | None = None
    exit_probability: Decimal | None = None
    is_active: bool = True
    initial: Purchased = Purchased()
    follow_on: Purchased = Purchased()
    shares: Decimal = Decimal(0)


class Multiple(NamedTuple):
    """A multiple to six decimals, or None; with a reason where it is missing or INCOMPLETE."""

    value: Decimal | None
    reason: MoicReason | None = None


class MoicSet(NamedTuple):
    """The multiples of a company or of a fund."""

    current: Multiple
    on_initial: Multiple
    on_follow_on: Multiple
    exit: Multiple
    exit_on_planned_reserves: Multiple


def company_moic(company: Position) -> MoicSet:
    """The multiples of one company.

    current = (valuation + realized) / invested; on initial and follow-on lots = current price of a share / mean price
    paid, weighed by shares; exit = the expected exit multiple; exit on planned reserves = that x its probability.
    """
    return MoicSet(
        current=_quotient(
            company.current_valuation_cents + company.realized_cents,
            company.invested_cents,
            MoicReason.NOTHING_INVESTED,
        ),
        on_initial=_on_lots(company, company.initial),
        on_follow_on=_on_lots(company, company.follow_on),
        exit=Multiple(None, MoicReason.NO_EXIT_MOIC) if company.exit_moic is None else _known(company.exit_moic),
        exit_on_planned_reserves=exit_on_planned_reserves(company),
    )


def fund_moic(companies: Sequence[Position]) -> MoicSet:
    """The multiples of a fund: its companies' values over their costs, and so means weighed by money.

    Exits are expected of companies that are still held alone: the exit multiple weighs them by what was invested, that
    on planned reserves by what is planned. A company without the figures is left out, which INCOMPLETE says.
    """
    held = [company for company in companies if company.is_active]
    return MoicSet(
        current=_quotient(
            sum(company.current_valuation_cents + company.realized_cents for company in companies),
            sum(company.invested_cents for company in companies),
            MoicReason.NOTHING_INVESTED,
        ),
        on_initial=_on_lots_of_all([(company, company.initial) for company in companies]),
        on_follow_on=_on_lots_of_all([(company, company.follow_on) for company in companies]),
        exit=_weighed(
            [(company.invested_cents, company.exit_moic, MoicReason.NO_EXIT_MOIC) for company in held],
            MoicReason.NOTHING_INVESTED,
        ),
        exit_on_planned_reserves=_weighed(
            [(company.planned_reserves_cents, expected_exit(company), _missing_of_exit(company)) for company in held],
            MoicReason.NOTHING_PLANNED,
        ),
    )


def expected_exit(company: Position) -> Decimal | None:
    """The exit multiple x its probability, exactly; None where either is not known."""
    exit_moic, probability = company.exit_moic, company.exit_probability
    return None if exit_moic is None or probability is None else EXACTLY.multiply(exit_moic, probability)


def exit_on_planned_reserves(company: Position) -> Multiple:
    """The expected exit on a company's planned reserves; there is one whether or not any are planned."""
    expected = expected_exit(company)
    return Multiple(None, _missing_of_exit(company)) if expected is None else _known(expected)


def _missing_of_exit(company: Position) -> MoicReason:
    return MoicReason.NO_EXIT_MOIC if company.exit_moic is None else MoicReason.NO_EXIT_PROBABILITY


def _on_lots(company: Position, bought: Purchased) -> Multiple:
    """What the shares of some lots are worth now, over what was paid for them."""
    if not bought.shares:
        return Multiple(None, MoicReason.NO_LOTS)
    worth = EXACTLY.multiply(company.current_valuation_cents, bought.shares)
    return _quotient(worth, EXACTLY.multiply(company.shares, bought.paid_cents), MoicReason.NOTHING_PAID)


def _on_lots_of_all(lots: Iterable[tuple[Position, Purchased]]) -> Multiple:
    """The same of several companies' lots together."""
    add, multiply, divide = EXACTLY.add, EXACTLY.multiply, EXACTLY.divide
    worth = paid = Decimal(0)
    reason = MoicReason.NO_LOTS
    for company, (shares, paid_cents) in lots:
        if shares:
            worth = add(worth, divide(multiply(company.current_valuation_cents, shares), company.shares))
            paid = add(paid, paid_cents)
            reason = MoicReason.NOTHING_PAID
    return _quotient(worth, paid, reason)


def _weighed(figures: Sequence[tuple[int, Decimal | None, MoicReason]], nothing: MoicReason) -> Multiple:
    """The mean of the figures that are known, by their weights; of those that weigh nothing none is missed."""
    weighing = [(weight, figure, reason) for weight, figure, reason in figures if weight]
    if not weighing:
        return Multiple(None, nothing)
    known = [(weight, figure) for weight, figure, _ in weighing if figure is not None]
    if not known:
        return Multiple(None, weighing[0][2])
    total = Decimal(0)
    for weight, figure in known:
        total = EXACTLY.add(total, EXACTLY.multiply(weight, figure))
    reason = MoicReason.INCOMPLETE if len(known) < len(weighing) else None
    return Multiple(_quotient(total, sum(weight for weight, _ in known), nothing).value, reason)


def _quotient(numerator: Decimal | int, denominator: Decimal | int, reason: MoicReason) -> Multiple:
    if not denominator:
        return Multiple(None, reason)
    return Multiple(EXACTLY.quantize(EXACTLY.divide(numerator, denominator), RATIO_PLACES))


def _known(value: Decimal) -> Multiple:
    return Multiple(EXACTLY.quantize(value, RATIO_PLACES))
