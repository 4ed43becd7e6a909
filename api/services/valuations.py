"""Recording and deleting what holdings are worth, and the prices of benchmarks."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from api.errors import ErrorCode, Problem, Refused, invalid
from api.services.activities import Locks, batch_subject, delete_row, known_holdings, leave_behind, problem_at
from api.services.audit import Subject
from api.services.checks import check_not_negative
from api.services.commands import Command

VALUATIONS_MAX = 10_000
PRICES_MAX = 10_000
BENCHMARK_LENGTH_MAX = 100
PRICE_PLACES_MAX = 8
PRICE_MAX = Decimal(10) ** 12


@dataclass(frozen=True, slots=True)
class NewValuation:
    """What a holding is worth on a date, in cents.

    Replaces what is recorded for that date: ``expected_version`` of it where that is given. ``holding_id`` None: an id
    that no holding can have.
    """

    holding_id: int | None
    valued_on: date
    value_cents: int
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class Valued:
    """The valuations that were recorded, by id in the order given, and the holdings that changed by it."""

    ids: list[int]
    holding_ids: list[int]


@dataclass(frozen=True, slots=True)
class NewPrice:
    """The price of a benchmark on a date; replaces what is recorded for that date."""

    benchmark: str
    priced_on: date
    price: Decimal


async def record_holding_valuations(command: Command, valuations: Sequence[NewValuation]) -> Valued:
    """Stores valuations, all or none; one of the same holding and date is replaced, its version one up.

    The same value again changes nothing. Raises Refused, each problem with its index: INVALID_INPUT, NEGATIVE_AMOUNT,
    NOT_FOUND, ALREADY_EXISTS for what is listed twice, VERSION_CONFLICT.
    """
    _check_count("valuations", len(valuations), VALUATIONS_MAX)
    # Locked, so that what is replaced is what the log says was there.
    known = await known_holdings(command, {valuation.holding_id for valuation in valuations}, Locks.HOLDINGS)
    problems = _check_valuations(valuations, known)
    if problems:
        raise Refused(problems)
    before = await _standing(command, valuations)
    _refuse_conflicts(valuations, before)
    ids = await _upsert(command, valuations, known)
    changed = [
        valuation
        for valuation in valuations
        if before.get((valuation.holding_id, valuation.valued_on), (None, 0))[0] != valuation.value_cents
    ]
    earliest: dict[int, date] = {}
    for valuation in changed:
        if valuation.holding_id is not None:
            since = earliest.get(valuation.holding_id, valuation.valued_on)
            earliest[valuation.holding_id] = min(since, valuation.valued_on)
    if earliest:
        await leave_behind(command, earliest)
    by_key = dict(zip([(one.holding_id, one.valued_on) for one in valuations], ids, strict=True))
    replaced = [one for one in changed if (one.holding_id, one.valued_on) in before]
    named = {by_key[one.holding_id, one.valued_on]: one for one in changed}
    command.record(
        "holding_valuations.recorded",
        batch_subject(command, known, {one.holding_id for one in valuations if one.holding_id is not None}),
        before={
            str(by_key[one.holding_id, one.valued_on]): before[one.holding_id, one.valued_on][0] for one in replaced
        },
        after={str(row_id): [one.holding_id, one.valued_on, one.value_cents] for row_id, one in named.items()},
    )
    return Valued(ids, sorted(earliest))


async def delete_holding_valuation(
    command: Command, *, valuation_id: int, expected_version: int, reason: str | None = None
) -> int:
    """Deletes a valuation with the returns that were computed from it, and returns its holding's id.

    Raises Refused: INVALID_INPUT, NOT_FOUND, VERSION_CONFLICT.
    """
    before = await delete_row(
        command, "portfolio_fund_valuations", valuation_id, expected_version, noun="valuation", reason=reason
    )
    holding_id: int = before["holding_id"]
    await leave_behind(command, {holding_id: before["valued_on"]})
    for table, owner in (("portfolio_fund_irr_values", "holding_id"), ("portfolio_irr_values", "portfolio_id")):
        await command.connection.execute(
            f"DELETE FROM {table} WHERE organization_id = $1 AND {owner} = $2 AND as_of = $3 AND method <> 'REPORTED'",
            command.organization_id,
            before[owner],
            before["valued_on"],
        )
    values = {name: before[name] for name in ("holding_id", "valued_on", "value_cents", "version")}
    subject = Subject("HoldingValuation", valuation_id)
    command.record("holding_valuation.deleted", subject, before=values, after={"reason": reason})
    return holding_id


async def record_benchmark_prices(command: Command, prices: Sequence[NewPrice]) -> list[int]:
    """Stores prices, all or none, and returns their ids in the order given; one of the same date is replaced.

    Raises Refused, each problem with its index: INVALID_INPUT, ALREADY_EXISTS for what is listed twice.
    """
    _check_count("prices", len(prices), PRICES_MAX)
    problems = _check_prices(prices)
    if problems:
        raise Refused(problems)
    # In the order of their key, so that two who write the same rows wait for each other instead of deadlocking.
    stored = await command.connection.fetch(
        """
        INSERT INTO benchmark_prices AS kept (organization_id, benchmark, priced_on, price)
        SELECT $1, given.* FROM unnest($2::text[], $3::date[], $4::numeric[]) AS given (benchmark, priced_on, price)
        ORDER BY benchmark, priced_on
        ON CONFLICT (organization_id, benchmark, priced_on) DO UPDATE SET price = excluded.price,
          version = kept.version + (kept.price <> excluded.price)::int,
          updated_at = CASE WHEN kept.price = excluded.price THEN kept.updated_at ELSE now() END
        RETURNING id, benchmark, priced_on
        """,
        command.organization_id,
        [price.benchmark for price in prices],
        [price.priced_on for price in prices],
        [price.price for price in prices],
    )
    ids = {(row["benchmark"], row["priced_on"]): row["id"] for row in stored}
    command.record(
        "benchmark_prices.recorded",
        Subject("Organization", command.organization_id),
        after={
            str(ids[price.benchmark, price.priced_on]): [price.benchmark, price.priced_on, price.price]
            for price in prices
        },
    )
    return [ids[price.benchmark, price.priced_on] for price in prices]


def _check_count(field: str, count: int, most: int) -> None:
    if not 1 <= count <= most:
        limit = f"1 to {most}"
        raise Refused([invalid(field, f"Give {limit} {field}.", expected=limit, actual=str(count))])


def _check_valuations(valuations: Sequence[NewValuation], known: Mapping[int, int]) -> list[Problem]:
    problems = _listed_twice("valuations", "valued_on", [(one.holding_id, one.valued_on) for one in valuations])
    for index, one in enumerate(valuations):
        found = check_not_negative({"value_cents": one.value_cents}, "value_cents")
        if one.holding_id not in known:
            found.append(Problem(ErrorCode.NOT_FOUND, "There is no such holding.", ("holding_id",)))
        problems += [problem_at("valuations", index, problem) for problem in found]
    return problems


def _check_prices(prices: Sequence[NewPrice]) -> list[Problem]:
    problems = _listed_twice("prices", "priced_on", [(one.benchmark, one.priced_on) for one in prices])
    for index, one in enumerate(prices):
        found = []
        if not 1 <= len(one.benchmark) <= BENCHMARK_LENGTH_MAX or not one.benchmark.strip():
            limit = f"1 to {BENCHMARK_LENGTH_MAX} characters"
            found.append(invalid("benchmark", f"A name has {limit}.", expected=limit))
        if not 0 < one.price < PRICE_MAX or one.price != round(one.price, PRICE_PLACES_MAX):
            limit = f"above 0, below {PRICE_MAX}, with at most {PRICE_PLACES_MAX} decimals"
            found.append(invalid("price", f"A price is {limit}.", expected=limit, actual=format(one.price, "f")))
        problems += [problem_at("prices", index, problem) for problem in found]
    return problems


def _listed_twice(field: str, column: str, keys: Sequence[Hashable]) -> list[Problem]:
    problem = Problem(ErrorCode.ALREADY_EXISTS, "Listed more than once.", (column,))
    counts = Counter(keys)
    return [problem_at(field, index, problem) for index, key in enumerate(keys) if counts[key] > 1]


async def _standing(
    command: Command, valuations: Sequence[NewValuation]
) -> dict[tuple[int | None, date], tuple[int, int]]:
    """Value and version of what is recorded for these dates already, locked."""
    found = await command.connection.fetch(
        """
        SELECT holding_id, valued_on, value_cents, version FROM portfolio_fund_valuations
        WHERE organization_id = $1 AND (holding_id, valued_on) IN (SELECT * FROM unnest($2::bigint[], $3::date[]))
        ORDER BY holding_id, valued_on FOR NO KEY UPDATE
        """,
        command.organization_id,
        [valuation.holding_id for valuation in valuations],
        [valuation.valued_on for valuation in valuations],
    )
    return {(row["holding_id"], row["valued_on"]): (row["value_cents"], row["version"]) for row in found}


def _refuse_conflicts(
    valuations: Sequence[NewValuation], before: Mapping[tuple[int | None, date], tuple[int, int]]
) -> None:
    problems = []
    for index, one in enumerate(valuations):
        version = before.get((one.holding_id, one.valued_on), (0, 0))[1]
        if one.expected_version not in (None, version):
            message = f"The version has moved from {one.expected_version} to {version}. Read it again."
            path, expected = ("expected_version",), str(one.expected_version)
            problem = Problem(ErrorCode.VERSION_CONFLICT, message, path, expected=expected, actual=str(version))
            problems.append(problem_at("valuations", index, problem))
    if problems:
        raise Refused(problems)


async def _upsert(command: Command, valuations: Sequence[NewValuation], portfolios: Mapping[int, int]) -> list[int]:
    # In the order of their key, so that two who write the same rows wait for each other instead of deadlocking.
    stored = await command.connection.fetch(
        """
        INSERT INTO portfolio_fund_valuations AS kept
          (organization_id, portfolio_id, holding_id, valued_on, value_cents)
        SELECT $1, given.* FROM unnest($2::bigint[], $3::bigint[], $4::date[], $5::bigint[])
          AS given (portfolio_id, holding_id, valued_on, value_cents)
        ORDER BY holding_id, valued_on
        ON CONFLICT (organization_id, holding_id, valued_on) DO UPDATE SET value_cents = excluded.value_cents,
          version = kept.version + (kept.value_cents <> excluded.value_cents)::int,
          updated_at = CASE WHEN kept.value_cents = excluded.value_cents THEN kept.updated_at ELSE now() END
        RETURNING id, holding_id, valued_on
        """,
        command.organization_id,
        [portfolios[one.holding_id] for one in valuations if one.holding_id is not None],
        [one.holding_id for one in valuations],
        [one.valued_on for one in valuations],
        [one.value_cents for one in valuations],
    )
    ids = {(row["holding_id"], row["valued_on"]): row["id"] for row in stored}
    return [ids[one.holding_id, one.valued_on] for one in valuations]
