"""Capital histories on the command line: what goes in comes out again."""

import json
from pathlib import Path

from tests.test_cli import CREATE, Outcome, Run, assert_sentence, fetch
from tests.test_cli import run as run

HISTORY = [
    {
        "id": "e1",
        "sourceId": "loan",
        "effectiveDate": "2025-01-31T23:30:00Z",
        "name": "Senior loan",
        "annualRate": 0.05,
        "availableCents": 9007199254740993,
        "action": "ADDED",
    },
    {
        "id": "e2",
        "sourceId": "loan",
        "effectiveDate": "2025-03-01",
        "name": "Senior loan",
        "annualRate": 0.061,
        "action": "RATE_CHANGED",
        "previousRate": 0.05,
        "notes": "Reset, as agreed",
    },
]
SLUG = ("--organization", "gamma")


def written(path: Path, entries: list[dict[str, object]]) -> str:
    path.write_text(json.dumps(entries))
    return str(path)


def test_history_is_imported_once_and_exported(run: Run, tmp_path: Path) -> None:
    run(*CREATE)
    imported = ("import", "capital", written(tmp_path / "history.json", HISTORY), *SLUG, "--time-zone", "Asia/Tokyo")
    assert run(*imported, "--dry-run").output == "Would add 2 entries; 0 are there already.\n"
    assert run("export", "capital", *SLUG).output == "[\n\n]\n"
    assert run(*imported) == Outcome(
        0, "Added 2 entries; 0 were there already.\n", "2 entries read\n2 new, 0 there already\n"
    )
    assert run(*imported).output == "Added 0 entries; 2 were there already.\n"
    exported = run("export", "capital", *SLUG)
    assert (exported.status, exported.errors) == (0, "2 entries\n")
    assert json.loads(exported.output) == [{**HISTORY[0], "effectiveDate": "2025-02-01"}, HISTORY[1]]


def test_csv_goes_to_another_organization_and_back(run: Run, tmp_path: Path) -> None:
    run(*CREATE)
    run(*CREATE, "--slug", "delta")
    run("import", "capital", written(tmp_path / "history.json", HISTORY), *SLUG)
    exported = run("export", "capital", *SLUG, "--format", "csv").output
    assert exported.splitlines()[0].startswith("id,sourceId,effectiveDate,")
    (tmp_path / "history.CSV").write_text(exported, newline="")
    outcome = run("import", "capital", str(tmp_path / "history.CSV"), "--organization", "delta")
    assert outcome.output == "Added 2 entries; 0 were there already.\n"
    assert run("export", "capital", "--organization", "delta", "--format", "csv").output == exported


def test_bad_file_is_refused_with_all_that_is_wrong(run: Run, tmp_path: Path, database_url: str) -> None:
    run(*CREATE)
    wrong = [{**HISTORY[0], "annualRate": -1}, {**HISTORY[1], "sourceId": "nobody", "effectiveDate": "2999-01-01"}]
    outcome = run("import", "capital", written(tmp_path / "history.json", wrong), *SLUG)
    assert (outcome.status, outcome.output) == (1, "")
    assert [line.split(":")[1].strip() for line in outcome.errors.splitlines() if line.startswith("tranche: ")] == [
        "entry 1, annualRate",
        "entry 2, effectiveDate",
        "entry 2, sourceId",
    ]
    assert fetch(database_url, "SELECT FROM capital_sources") == []


def test_what_is_unknown_is_a_sentence(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path / "history.json", HISTORY)
    assert_sentence(run("import", "capital", file, *SLUG, "--time-zone", "Mars/Olympus"), "time zone")
    assert_sentence(run("export", "capital", *SLUG), "There is no organization gamma.")
    (tmp_path / "history.csv").write_text("id\n")
    outcome = run("import", "capital", str(tmp_path / "history.csv"), *SLUG)
    assert outcome.errors.count("The file has no column") == 6
