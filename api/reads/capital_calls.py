"""The payments of a capital call, as a list of rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from api import tables
from api.reads.declarations import BatchSelect, table_of

_COLUMNS = [column.name for column in table_of(tables.CapitalCallPayment).columns]


def _rows(found: Sequence[Sequence[Any]]) -> list[Mapping[str, Any]]:
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]


CALL_PAYMENTS = BatchSelect(
    lambda _arguments: (
        f"""
    SELECT ROW({", ".join(f"payment.{name}" for name in _COLUMNS)})
    FROM capital_call_payments AS payment
    WHERE payment.organization_id = {{organization}} AND payment.capital_call_id = {{key}}
    ORDER BY payment.id
    """
    ),
    _rows,
)
"""All columns of the payments of a call, in the order in which they were recorded."""
