"""Activities and valuations on the command line: what goes in comes out again."""

from pathlib import Path

from tests.test_cli import CREATE, Outcome, Run, assert_sentence, fetch
from tests.test_cli import run as run

PENSION = (
    "pension_fund_name,fund_name,general_partner,asset_class,sub_strategy,vintage_year,commitment_mm,capital_called_mm,"
    "capital_distributed_mm,remaining_value_mm,net_irr,net_multiple,as_of_date\n"
    'Pension,"=Fund, ""A""",,,,2020,1,,,,,,2023-12-31\nPension,B,,,,,1,,,,,,2023-12-31\n'
)
ACTIVITIES = (
    "fund,vintage_year,occurred_on,activity_type,amount,is_recallable,note\r\n"
    '"\'=Fund, ""A""",2020,2023-01-01,INVESTMENT,1000.50,false,\'+call\r\n'
    'B,,2023-01-01,INVESTMENT,500.00,false,"two\nlines"\r\n'
    "B,,2023-06-30,DISTRIBUTION,0.01,true,\r\n"
)
VALUATIONS = 'fund,vintage_year,valued_on,value\r\n"\'=Fund, ""A""",2020,2024-01-01,1100.55\r\nB,,2023-12-31,0.00\r\n'


def place(slug: str) -> tuple[str, ...]:
    return ("--portfolio", "Pension", "--organization", slug)


def prepare(run: Run, path: Path, *slugs: str) -> tuple[str, str]:
    """Organizations with the portfolio, and the paths of the files."""
    files = {"pension.csv": PENSION, "activities.csv": ACTIVITIES, "valuations.csv": VALUATIONS}
    for name, text in files.items():
        (path / name).write_text(text, newline="")
    for slug in slugs:
        run(*CREATE, "--slug", slug)
        assert run("import", "statements", str(path / "pension.csv"), "--organization", slug).status == 0
    return str(path / "activities.csv"), str(path / "valuations.csv")


def test_files_go_in_once_and_come_out_the_same(run: Run, tmp_path: Path, database_url: str) -> None:
    activities, valuations = prepare(run, tmp_path, "gamma", "delta")
    assert run("import", "activities", activities, *place("gamma"), "--dry-run").output == "Would add 3 activities.\n"
    assert run("import", "activities", activities, *place("gamma")) == Outcome(
        0, "Added 3 activities.\nThe returns of 2 holdings are current.\n", "3 rows read\n3 rows\n"
    )
    again = run("import", "activities", activities, *place("gamma"))
    assert again.output.startswith("Nothing was added: the file had been imported before.\n")
    assert run("import", "valuations", valuations, *place("gamma")).output.startswith("Added 2 valuations.\n")
    for kind, text in (("activities", ACTIVITIES), ("valuations", VALUATIONS)):
        exported = run("export", kind, *place("gamma"))
        assert (exported.status, exported.output) == (0, text)
        (tmp_path / "exported.csv").write_text(exported.output, newline="")
        assert run("import", kind, str(tmp_path / "exported.csv"), *place("delta")).status == 0
        assert run("export", kind, *place("delta")).output == exported.output
    rates = fetch(database_url, "SELECT count(value) AS count FROM portfolio_fund_irr_values WHERE method = 'XIRR'")
    assert rates[0]["count"] == 4


def test_signed_cents_with_declared_dates(run: Run, tmp_path: Path, database_url: str) -> None:
    prepare(run, tmp_path, "gamma")
    file = tmp_path / "signed.csv"
    file.write_text("fund,occurred_on,amount\nB,1/31/2023,-7\nB,2/1/2023,9\n")
    options = ("--amounts", "signed", "--unit", "cents", "--date-format", "M/D/YYYY")
    assert run("import", "activities", str(file), *place("gamma"), *options).status == 0
    rows = fetch(database_url, "SELECT activity_type, amount_cents, occurred_on FROM holding_activity_log ORDER BY id")
    assert [(row[0], row[1], str(row[2])) for row in rows] == [
        ("INVESTMENT", 7, "2023-01-31"),
        ("DISTRIBUTION", 9, "2023-02-01"),
    ]


def test_what_cannot_be_is_a_sentence(run: Run, tmp_path: Path, database_url: str) -> None:
    activities, _ = prepare(run, tmp_path, "gamma")
    nowhere = ("--portfolio", "Nowhere", "--organization", "gamma")
    assert_sentence(run("import", "activities", activities, *nowhere), "There is no portfolio Nowhere.")
    assert_sentence(run("export", "valuations", *nowhere), "There is no portfolio Nowhere.")
    unknown = run("import", "activities", activities, *place("gamma"), "--date-format", "DD.MM")
    assert_sentence(unknown, "date_format: A date format has YYYY, MM (or M) and DD (or D) in it")
    (tmp_path / "bad.csv").write_text(ACTIVITIES.replace("500.00", "5,-").replace("B,,2023-06-30", "C,,2023-06-30"))
    bad = run("import", "activities", str(tmp_path / "bad.csv"), *place("gamma"))
    assert (bad.status, bad.output, bad.errors.splitlines()[0]) == (
        1,
        "",
        "tranche: line 3, fund: 8 cells where the header has 7",
    )
    assert fetch(database_url, "SELECT FROM holding_activity_log") == []
