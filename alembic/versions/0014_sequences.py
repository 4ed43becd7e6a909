"""Blocks of ids, and the health of sequences

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# The highest id is over all organizations, which nobody but tranche_maintenance may see: the functions are its own, and
# tell nothing of any row but that. Ids of an organization are found by its primary key, so that no table is read.
SEQUENCE_HEALTH = """
CREATE FUNCTION sequence_health()
RETURNS TABLE (table_name text, sequence_name text, last_value bigint, is_called boolean, max_id bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_column record;
BEGIN
  FOR v_column IN
    SELECT relation.relname, relation.oid::regclass AS relation, attribute.attname,
      pg_get_serial_sequence(relation.oid::regclass::text, attribute.attname)::regclass AS sequence,
      EXISTS (
        SELECT FROM pg_attribute AS organization
        WHERE organization.attrelid = relation.oid AND organization.attname = 'organization_id'
      ) AS is_tenants
    FROM pg_class AS relation
    JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid AND attribute.attidentity <> ''
    WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind = 'r'
    ORDER BY relation.relname
  LOOP
    table_name := v_column.relname;
    EXECUTE format('SELECT %L, last_value, is_called FROM %s', v_column.sequence, v_column.sequence)
      INTO sequence_name, last_value, is_called;
    EXECUTE format(
      CASE WHEN v_column.is_tenants THEN
        'SELECT max(highest) FROM organizations CROSS JOIN LATERAL'
        ' (SELECT max(%1$I) AS highest FROM %2$s AS entry WHERE entry.organization_id = organizations.id) AS found'
      ELSE 'SELECT max(%1$I) FROM %2$s' END,
      v_column.attname, v_column.relation
    ) INTO max_id;
    RETURN NEXT;
  END LOOP;
END
$$
"""

# Whoever takes ids, inserting or through reserve_ids, holds a lock on the table that this one waits for: so nobody has
# ids in hand that are not in the table yet, and nothing moves the sequence while it is looked at and set.
REPAIR_SEQUENCE = """
CREATE FUNCTION repair_sequence(p_table text)
RETURNS TABLE (table_name text, sequence_name text, last_value bigint, is_called boolean, max_id bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_state record;
BEGIN
  IF NOT EXISTS (SELECT FROM sequence_health() AS health WHERE health.table_name = p_table) THEN
    RAISE EXCEPTION 'no table % hands out ids', p_table;
  END IF;
  EXECUTE format('LOCK TABLE public.%I IN SHARE ROW EXCLUSIVE MODE', p_table);
  SELECT * INTO STRICT v_state FROM sequence_health() AS health WHERE health.table_name = p_table;
  IF v_state.max_id >= v_state.last_value + v_state.is_called::int THEN
    PERFORM setval(v_state.sequence_name::regclass, v_state.max_id);
  END IF;
  RETURN QUERY SELECT * FROM sequence_health() AS health WHERE health.table_name = p_table;
END
$$
"""

# Each nextval is nobody else's, whatever happens between two of them; nothing sets the sequence back.
RESERVE_IDS = """
CREATE FUNCTION reserve_ids(p_table text, p_count integer) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF p_count NOT BETWEEN 1 AND 20000 THEN
    RAISE EXCEPTION 'a block has 1 to 20000 ids, not %', p_count;
  END IF;
  EXECUTE format('LOCK TABLE public.%I IN ROW EXCLUSIVE MODE', p_table);
  RETURN QUERY SELECT nextval(pg_get_serial_sequence(format('public.%I', p_table), 'id')::regclass)
    FROM generate_series(1, p_count);
END
$$
"""

FUNCTIONS = {
    "sequence_health()": SEQUENCE_HEALTH,
    "repair_sequence(text)": REPAIR_SEQUENCE,
    "reserve_ids(text, integer)": RESERVE_IDS,
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("GRANT SELECT, UPDATE, USAGE ON ALL SEQUENCES IN SCHEMA public TO tranche_maintenance")
    op.execute("REVOKE USAGE ON SEQUENCE capital_history_id_seq FROM tranche_app")
    # Who is given a function must be allowed to make one.
    op.execute("GRANT CREATE ON SCHEMA public TO tranche_maintenance")
    for signature, body in FUNCTIONS.items():
        op.execute(body)
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO tranche_app")
        op.execute(f"ALTER FUNCTION {signature} OWNER TO tranche_maintenance")
    op.execute("REVOKE CREATE ON SCHEMA public FROM tranche_maintenance")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {signature}")
    op.execute("REVOKE SELECT, UPDATE, USAGE ON ALL SEQUENCES IN SCHEMA public FROM tranche_maintenance")
    op.execute("GRANT USAGE ON SEQUENCE capital_history_id_seq TO tranche_app")
