"""Multiples on invested capital, of a company and of a fund, and the ranking by them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.domain.moic import MoicReason, MoicSet, Multiple, Position, Purchased, company_moic, fund_moic
from api.domain.money import CENTS_MAX
from api.domain.reserve_ranking import ranking

HALF = Fraction(1, 2 * 10**6)


def bought(shares: str, price: int) -> Purchased:
    return Purchased(Decimal(shares), Decimal(shares) * price)


def texts(found: MoicSet) -> list[str]:
    """Each multiple, or the reason why there is none; both where it is incomplete."""
    figures = (found.current, found.on_initial, found.on_follow_on, found.exit, found.exit_on_planned_reserves)
    return [" ".join(str(part) for part in (one.value, one.reason) if part is not None) for one in figures]


def test_company_with_everything() -> None:
    company = Position(
        invested_cents=300,
        current_valuation_cents=600,
        realized_cents=150,
        exit_moic=Decimal("3.5"),
        exit_probability=Decimal("0.4"),
        initial=bought("100", 1),
        follow_on=bought("50", 3),
        shares=Decimal(200),
    )
    # A share is worth 600 / 200 = 3 cents.
    assert texts(company_moic(company)) == ["2.500000", "3.000000", "1.000000", "3.500000", "1.400000"]


def test_price_of_several_lots_is_weighed_by_their_shares() -> None:
    # 1 share at 10 and 3 at 2: 16 / 4 = 4 cents; now 8.
    initial = Purchased(Decimal(4), Decimal(16))
    assert company_moic(
        Position(current_valuation_cents=32, initial=initial, shares=Decimal(4))
    ).on_initial == Multiple(Decimal("2.000000"))


def test_company_with_nothing_says_what_is_missing() -> None:
    assert texts(company_moic(Position())) == ["NOTHING_INVESTED", "NO_LOTS", "NO_LOTS", "NO_EXIT_MOIC", "NO_EXIT_MOIC"]
    given_away = Position(exit_moic=Decimal(2), initial=bought("5", 0), shares=Decimal(5))
    assert texts(company_moic(given_away))[1:] == ["NOTHING_PAID", "NO_LOTS", "2.000000", "NO_EXIT_PROBABILITY"]


def test_reserves_need_not_be_planned_for_an_exit_to_be_expected_on_them() -> None:
    company = Position(planned_reserves_cents=0, exit_moic=Decimal(3), exit_probability=Decimal("0.5"))
    assert company_moic(company).exit_on_planned_reserves == Multiple(Decimal("1.500000"))


def test_rounding_is_half_to_even_and_once() -> None:
    tiny = Position(exit_moic=Decimal("0.000005"), exit_probability=Decimal("0.1"))
    assert company_moic(tiny).exit_on_planned_reserves.value == 0
    assert company_moic(Position(invested_cents=2_000_000, current_valuation_cents=3)).current.value == Decimal(
        "0.000002"
    )


def test_fund_weighs_by_money() -> None:
    one = Position(
        invested_cents=100,
        current_valuation_cents=300,
        planned_reserves_cents=30,
        exit_moic=Decimal(4),
        exit_probability=Decimal("0.5"),
        initial=bought("10", 10),
        shares=Decimal(10),
    )
    other = Position(invested_cents=300, current_valuation_cents=100, planned_reserves_cents=10, exit_moic=Decimal(2))
    assert texts(fund_moic([one, other])) == [
        "1.000000",
        "3.000000",
        "NO_LOTS",
        "2.500000",
        "2.000000 INCOMPLETE",
    ]


def test_fund_expects_nothing_of_companies_that_are_gone_and_misses_nothing_that_weighs_nothing() -> None:
    gone = Position(invested_cents=100, realized_cents=50, exit_moic=Decimal(9), is_active=False)
    assert texts(fund_moic([gone])) == ["0.500000", "NO_LOTS", "NO_LOTS", "NOTHING_INVESTED", "NOTHING_PLANNED"]
    held = Position(invested_cents=100, exit_moic=Decimal(1), exit_probability=Decimal(1))
    assert texts(fund_moic([gone, held, Position()]))[3:] == ["1.000000", "NOTHING_PLANNED"]
    assert fund_moic([Position(invested_cents=1)]).exit.reason is MoicReason.NO_EXIT_MOIC
    assert fund_moic([]) == MoicSet(
        Multiple(None, MoicReason.NOTHING_INVESTED),
        Multiple(None, MoicReason.NO_LOTS),
        Multiple(None, MoicReason.NO_LOTS),
        Multiple(None, MoicReason.NOTHING_INVESTED),
        Multiple(None, MoicReason.NOTHING_PLANNED),
    )


CENTS = st.integers(0, 9) | st.integers(0, CENTS_MAX)
RATIO = st.none() | st.integers(0, 10**9).map(lambda millionths: Decimal(millionths).scaleb(-6))
LOTS = st.lists(
    st.tuples(
        st.sampled_from(["INITIAL", "FOLLOW_ON", "SECONDARY"]),
        st.integers(0, 9) | st.integers(0, CENTS_MAX),
        (st.integers(1, 9) | st.integers(1, 10**18 - 1)).map(lambda units: Decimal(units).scaleb(-8)),
    ),
    max_size=4,
)
Lot = tuple[str, int, Decimal]


def exact_sum(figures: Iterable[Fraction]) -> Decimal:
    """A sum of few enough digits, without any context's rounding."""
    total = sum(figures, Fraction(0))
    return Decimal(int(total * 10**8)).scaleb(-8)


def position(lots: Sequence[Lot], **figures: object) -> Position:
    sums = {
        kind: Purchased(
            exact_sum(Fraction(shares) for one, _, shares in lots if one == kind),
            exact_sum(Fraction(shares) * price for one, price, shares in lots if one == kind),
        )
        for kind in ("INITIAL", "FOLLOW_ON")
    }
    shares = exact_sum(Fraction(shares) for _, _, shares in lots)
    return Position(initial=sums["INITIAL"], follow_on=sums["FOLLOW_ON"], shares=shares, **figures)  # type: ignore[arg-type]


COMPANIES = st.tuples(
    LOTS,
    st.fixed_dictionaries(
        {
            "invested_cents": CENTS,
            "current_valuation_cents": CENTS,
            "realized_cents": CENTS,
            "planned_reserves_cents": CENTS,
            "exit_moic": RATIO,
            "exit_probability": RATIO,
            "is_active": st.booleans(),
        }
    ),
)


def assert_is(found: Multiple, expected: Fraction | None) -> None:
    """The exact value, rounded once; or none, with a reason."""
    if expected is None:
        assert found.value is None
        assert found.reason is not None
    else:
        assert found.value is not None
        assert found.value.as_tuple().exponent == -6
        assert abs(Fraction(found.value) - expected) <= HALF


def slow_on_lots(companies: Sequence[tuple[Sequence[Lot], dict[str, int]]], kind: str) -> Fraction | None:
    """Lot by lot: what each is worth now, and what was paid for it."""
    worth = paid = Fraction(0)
    for lots, figures in companies:
        shares = sum((Fraction(lot[2]) for lot in lots), Fraction(0))
        for one, price, count in lots:
            if one == kind:
                worth += Fraction(figures["current_valuation_cents"]) / shares * Fraction(count)
                paid += price * Fraction(count)
    return worth / paid if paid else None


@settings(deadline=None, max_examples=60)
@given(st.lists(COMPANIES, max_size=5))
def test_multiples_are_those_of_exact_fractions(companies: list[tuple[list[Lot], dict[str, int]]]) -> None:
    positions = [position(lots, **figures) for lots, figures in companies]
    of_fund = fund_moic(positions)
    invested = sum(figures["invested_cents"] for _, figures in companies)
    value = sum(figures["current_valuation_cents"] + figures["realized_cents"] for _, figures in companies)
    assert_is(of_fund.current, Fraction(value, invested) if invested else None)
    assert_is(of_fund.on_initial, slow_on_lots(companies, "INITIAL"))
    assert_is(of_fund.on_follow_on, slow_on_lots(companies, "FOLLOW_ON"))
    for one, company in zip(positions, companies, strict=True):
        found = company_moic(one)
        assert_is(found.on_initial, slow_on_lots([company], "INITIAL"))
        assert_is(found.on_follow_on, slow_on_lots([company], "FOLLOW_ON"))
    exits = [
        (one.planned_reserves_cents, Fraction(one.exit_moic) * Fraction(one.exit_probability))
        for one in positions
        if one.is_active and one.exit_moic is not None and one.exit_probability is not None
    ]
    planned = sum(weight for weight, _ in exits)
    expected = sum((weight * figure for weight, figure in exits), Fraction(0)) / planned if planned else None
    assert_is(of_fund.exit_on_planned_reserves, expected)


@settings(deadline=None)
@given(LOTS.filter(bool), CENTS)
def test_what_is_paid_for_shares_weighs_their_multiples_into_one(lots: list[Lot], valuation: int) -> None:
    """Whatever they were bought at: what initial, follow-on and secondary shares are worth comes to the valuation."""
    parts = [(lot, slow_on_lots([(lots, {"current_valuation_cents": valuation})], lot[0])) for lot in lots]
    if all(part is not None for _, part in parts):
        worth = sum((part * price * Fraction(shares) for (_, price, shares), part in parts if part), Fraction(0))
        assert worth == valuation


def test_ranking_is_by_exit_before_rounding_with_unknown_ones_last_and_gone_ones_not_at_all() -> None:
    def expecting(exit_moic: str | None, probability: str | None, *, is_active: bool = True) -> Position:
        return Position(
            planned_reserves_cents=7,
            exit_moic=None if exit_moic is None else Decimal(exit_moic),
            exit_probability=None if probability is None else Decimal(probability),
            is_active=is_active,
        )

    companies = [
        (1, expecting(None, "1"), 1),
        (2, expecting("0.000001", "0.1"), 2),
        (3, expecting("0.000001", "0.2"), 3),
        (4, expecting("9", "1", is_active=False), 4),
        (5, expecting("9", None), 5),
        (6, expecting("0.000002", "0.1"), 10),
    ]
    found = ranking(companies)
    assert [(place.rank, place.company_id, place.remaining_cents) for place in found] == [
        (1, 3, 4),
        (2, 6, -3),
        (3, 2, 5),
        (4, 1, 6),
        (5, 5, 2),
    ]
    assert [place.exit_on_planned_reserves.reason for place in found[3:]] == [
        MoicReason.NO_EXIT_MOIC,
        MoicReason.NO_EXIT_PROBABILITY,
    ]


@given(st.lists(st.tuples(st.integers(0, 99), RATIO, RATIO, st.booleans()), unique_by=lambda one: one[0]))
def test_ranking_agrees_with_comparing_every_pair(
    given_companies: list[tuple[int, Decimal | None, Decimal | None, bool]],
) -> None:
    companies = [
        (number, Position(exit_moic=moic, exit_probability=chance, is_active=held), 0)
        for number, moic, chance, held in given_companies
    ]
    exits = {
        number: None if moic is None or chance is None else Fraction(moic) * Fraction(chance)
        for number, moic, chance, _ in given_companies
    }

    def beats(one: int, other: int) -> bool:
        mine, theirs = exits[one], exits[other]
        if mine == theirs:
            return one < other
        return theirs is None or (mine is not None and mine > theirs)

    held = [number for number, _, _, is_held in given_companies if is_held]
    expected = {number: 1 + sum(beats(other, number) for other in held if other != number) for number in held}
    assert {place.company_id: place.rank for place in ranking(companies)} == expected


@pytest.mark.parametrize("digits", [10**18 - 1, 1])
def test_greatest_figures_are_exact(digits: int) -> None:
    shares = Decimal(digits).scaleb(-8)
    lots = Purchased(shares, Decimal(int(Fraction(shares) * CENTS_MAX * 10**8)).scaleb(-8))
    company = Position(current_valuation_cents=CENTS_MAX, initial=lots, shares=shares)
    expected = Fraction(CENTS_MAX) / (Fraction(shares) * CENTS_MAX)
    assert_is(company_moic(company).on_initial, expected)
