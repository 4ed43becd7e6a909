"""Multiples and the ranking of reserves, as clients read them: the figures, and one statement for all parents."""

from api.domain.access import Role
from tests.server import RunningServer
from tests.services.snapshots import SnapshotFund

MOIC = "current currentReason onInitial onInitialReason onFollowOn onFollowOnReason exit exitOnPlannedReserves"
COMPANIES = f"{{ funds {{ nodes {{ companies {{ nodes {{ name moic {{ {MOIC} }} }} }} }} }} }}"
RANKING = """
query ($first: Int) {
  funds { nodes { reserveRanking(first: $first) {
    rank company { name } exitOnPlannedReserves exitOnPlannedReservesReason plannedCents deployedCents remainingCents
  } } }
}
"""


async def filled(server: RunningServer, companies: int = 3) -> SnapshotFund:
    return await SnapshotFund.create(server.owner, server.organization_ids["alpha"], companies=companies)


async def test_companies_show_their_multiples(server: RunningServer) -> None:
    await filled(server, 1)
    await server.owner.execute(
        "INSERT INTO portfolio_companies (organization_id, fund_id, name) SELECT organization_id, id, 'Bare' FROM funds"
    )
    (fund,) = (await server.execute(COMPANIES, role=Role.VIEWER)).data["funds"]["nodes"]
    held, bare = fund["companies"]["nodes"]
    # 20 shares worth 3000: the first ten bought for 1 cent each, the others for 2.
    assert held["moic"] == {
        "current": "3",
        "currentReason": None,
        "onInitial": "150",
        "onInitialReason": None,
        "onFollowOn": "75",
        "onFollowOnReason": None,
        "exit": "1",
        "exitOnPlannedReserves": "0.5",
    }
    assert bare["moic"]["currentReason"] == "NOTHING_INVESTED"
    assert (bare["moic"]["onInitialReason"], bare["moic"]["exitOnPlannedReserves"]) == ("NO_LOTS", None)


async def test_multiples_of_all_companies_are_read_with_one_statement(server: RunningServer) -> None:
    await filled(server, 2)
    few = await server.execute(COMPANIES, debug=True)
    for _ in range(3):
        await filled(server, 9)
    many = await server.execute(COMPANIES, debug=True)
    assert len(few.statements) == len(many.statements) == 1


async def test_ranking_is_cut_and_leaves_out_what_is_gone(server: RunningServer) -> None:
    fund = await filled(server, 4)
    await server.owner.execute("UPDATE portfolio_companies SET status = 'EXITED' WHERE name = 'Company 4'")
    await server.owner.execute("UPDATE portfolio_companies SET exit_probability = NULL WHERE name = 'Company 3'")
    await SnapshotFund.create(server.owner, server.organization_ids["beta"])
    (shown,) = (await server.execute(RANKING)).data["funds"]["nodes"]
    assert [(one["rank"], one["company"]["name"], one["exitOnPlannedReserves"]) for one in shown["reserveRanking"]] == [
        (1, "Company 2", "1"),
        (2, "Company 1", "0.5"),
        (3, "Company 3", None),
    ]
    assert shown["reserveRanking"][2] == {
        "rank": 3,
        "company": {"name": "Company 3"},
        "exitOnPlannedReserves": None,
        "exitOnPlannedReservesReason": "NO_EXIT_PROBABILITY",
        "plannedCents": "500",
        "deployedCents": "100",
        "remainingCents": "400",
    }
    (cut,) = (await server.execute(RANKING, {"first": 1})).data["funds"]["nodes"]
    assert [one["rank"] for one in cut["reserveRanking"]] == [1]
    assert fund.fund_id


async def test_ranking_holds_to_the_bounds_of_pages(server: RunningServer) -> None:
    await filled(server, 1)
    for first in (-1, 101):
        refused = await server.execute(RANKING, {"first": first})
        assert refused.codes == ["BAD_USER_INPUT"]
        assert refused.body["errors"][0]["message"] == f"first: must be between 0 and 100, not {first}."
    for allowed in (None, 0, 100):
        assert "errors" not in (await server.execute(RANKING, {"first": allowed})).body
