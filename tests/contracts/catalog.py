"""A database's schema as PostgreSQL itself describes it, so that two can be compared."""

import asyncpg

Catalog = dict[str, list[str]]
"""One line for each thing of a kind, sorted."""

_KINDS = {
    "tables": """
        SELECT format('%s %s owner %s rls %s forced %s', c.relkind, c.relname, c.relowner::regrole, c.relrowsecurity,
          c.relforcerowsecurity) FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind <> 'i'
    """,
    "columns": """
        SELECT format('%s.%s %s not null %s default %s identity %s generated %s collation %s storage %s', c.relname,
          a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity,
          a.attgenerated, a.attcollation::regcollation, a.attstorage)
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'r'
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
    """,
    "constraints": """
        SELECT format('%s on %s: %s validated %s', conname, conrelid::regclass, pg_get_constraintdef(oid), convalidated)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "indexes": """
        SELECT format('%s valid %s', pg_get_indexdef(indexrelid), indisvalid)
        FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE relnamespace = 'public'::regnamespace
    """,
    "policies": "SELECT pg_policies::text FROM pg_policies WHERE schemaname = 'public'",
    "functions": """
        SELECT format('%s owner %s', pg_get_functiondef(oid), proowner::regrole)
        FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """,
    "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "types": """
        SELECT format('%s %s', typtype, typname) FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typtype NOT IN ('c', 'b')
    """,
    "extensions": "SELECT extname::text FROM pg_extension",
    "grants": """
        SELECT format('%s %s on %s', acl.grantee::regrole, acl.privilege_type, granted.name) FROM (
          SELECT 'relation ' || relname AS name, relacl AS acl FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relacl IS NOT NULL
          UNION ALL SELECT 'schema ' || nspname, nspacl FROM pg_namespace WHERE nspname = 'public'
          UNION ALL SELECT 'function ' || oid::regprocedure, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace
          UNION ALL SELECT 'column ' || attrelid::regclass || '.' || attname, attacl FROM pg_attribute
            WHERE attacl IS NOT NULL AND attrelid >= 16384
        ) AS granted CROSS JOIN LATERAL aclexplode(granted.acl) AS acl
        WHERE acl.grantee <> acl.grantor
    """,
}


async def catalog_of(url: str) -> Catalog:
    """The schema ``public`` of a database, but alembic's own table."""
    connection = await asyncpg.connect(url)
    try:
        found = {kind: [row[0] for row in await connection.fetch(sql)] for kind, sql in _KINDS.items()}
    finally:
        await connection.close()
    return {kind: sorted(line for line in lines if "alembic_version" not in line) for kind, lines in found.items()}
