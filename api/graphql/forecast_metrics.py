"""The metrics of a snapshot as clients see them: with global ids in the place of rows' own."""

from typing import Any

from api.reads import global_ids
from api.reads.declarations import Record


def shown_metrics(row: Record) -> Any:
    """The metrics of a snapshot's row; None where there are none."""
    metrics = row["metrics"]
    if metrics is None:
        return None
    copied_from = metrics["copiedFrom"]
    return metrics | {
        "copiedFrom": None if copied_from is None else global_ids.encode("ForecastSnapshot", copied_from),
        "concentration": {
            name: spread | {"largest": _shown(spread["largest"])} for name, spread in metrics["concentration"].items()
        },
        "ranking": _shown(metrics["ranking"]),
        "companies": _shown(metrics["companies"]),
    }


def _shown(companies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        company | {"companyId": global_ids.encode("PortfolioCompany", company["companyId"])} for company in companies
    ]
