"""What whoever takes over a database asks of its catalog, and the answers that every version of PostgreSQL gives."""

import asyncpg

KEYED_TABLES = {
    "forecast_snapshots": "fund",
    "investment_lots": "investment",
    "reserve_allocations": "snapshot",
}
"""The tables whose rows have their keys, and what a key is unique within."""

STATEMENTS: dict[str, set[str]] = {
    """
    SELECT table_name || ' ' || data_type FROM information_schema.columns
    WHERE column_name = 'version' AND table_name IN ('forecast_snapshots', 'investment_lots', 'reserve_allocations')
    """: {f"{table} bigint" for table in KEYED_TABLES},
    "SELECT indexname::text FROM pg_indexes WHERE indexname LIKE '%cursor_idx' OR indexname LIKE '%idem_key_idx'": {
        *(f"{table}_cursor_idx" for table in KEYED_TABLES),
        *(f"{table}_{scope}_idem_key_idx" for table, scope in KEYED_TABLES.items()),
    },
    "SELECT conname || ' ' || convalidated::text FROM pg_constraint WHERE conname LIKE '%idem_key_len_check'": {
        f"{table}_idem_key_len_check true" for table in KEYED_TABLES
    },
    "SELECT indexname::text FROM pg_indexes WHERE tablename = 'reallocation_audit'": {
        "reallocation_audit_pkey",
        "idx_reallocation_audit_fund",
        "idx_reallocation_audit_user",
        "idx_reallocation_audit_versions",
        "idx_reallocation_audit_changes_gin",
    },
    "SELECT proname::text FROM pg_proc WHERE proname LIKE 'log_reallocation%'": {"log_reallocation_audit"},
    "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid": set(),
}
"""Statements with one column, and the rows that they find."""


async def verify(url: str) -> None:
    """Raises AssertionError that names what a migrated database lacks, or has too much."""
    connection = await asyncpg.connect(url)
    try:
        for statement, expected in STATEMENTS.items():
            found = [row[0] for row in await connection.fetch(statement)]
            assert sorted(found) == sorted(expected), f"{' '.join(statement.split())}: {found}"
    finally:
        await connection.close()
