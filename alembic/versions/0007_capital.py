"""Capital

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

from api.db import row_security

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    create_sources()
    create_history()
    create_indexes()
    op.add_column(
        "audit_heads", sa.Column("capital_sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.execute(APPEND_AUDIT)
    statements = [
        *row_security.protect_tenant_table("capital_sources", application="SELECT, INSERT, UPDATE"),
        *row_security.protect_tenant_table("capital_history", application="SELECT, INSERT"),
        # An entry's id is taken before the entry is inserted: its event names it.
        "GRANT USAGE ON SEQUENCE capital_history_id_seq TO tranche_app",
    ]
    for statement in statements:
        op.execute(statement)


def create_sources() -> None:
    op.create_table(
        "capital_sources",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("external_key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("annual_rate", sa.Numeric(precision=10, scale=6), nullable=False),
        sa.Column("available_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("added_on", sa.Date(), nullable=False),
        sa.Column("removed_on", sa.Date(), nullable=True),
        sa.CheckConstraint("length(external_key) BETWEEN 1 AND 200", name=op.f("capital_sources_external_key_check")),
        sa.CheckConstraint("length(name) BETWEEN 3 AND 200", name=op.f("capital_sources_name_check")),
        sa.CheckConstraint("annual_rate >= 0", name=op.f("capital_sources_annual_rate_check")),
        sa.CheckConstraint("available_cents > 0", name=op.f("capital_sources_available_check")),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("capital_sources_currency_check")),
        sa.CheckConstraint("removed_on >= added_on", name=op.f("capital_sources_removed_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("capital_sources_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("capital_sources_pkey")),
        sa.UniqueConstraint(
            "organization_id", "external_key", name=op.f("capital_sources_organization_id_external_key_key")
        ),
    )


def create_history() -> None:
    op.create_table(
        "capital_history",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("annual_rate", sa.Numeric(precision=10, scale=6), nullable=True),
        sa.Column("available_cents", sa.BigInteger(), nullable=True),
        sa.Column("previous_rate", sa.Numeric(precision=10, scale=6), nullable=True),
        sa.Column("previous_amount_cents", sa.BigInteger(), nullable=True),
        sa.Column("notes", sa.String(), nullable=True),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "action IN ('ADDED', 'AMOUNT_CHANGED', 'RATE_CHANGED', 'REMOVED')",
            name=op.f("capital_history_action_check"),
        ),
        sa.CheckConstraint(
            "effective_on <= (recorded_at AT TIME ZONE 'UTC')::date", name=op.f("capital_history_effective_on_check")
        ),
        sa.CheckConstraint("length(name) BETWEEN 3 AND 200", name=op.f("capital_history_name_check")),
        sa.CheckConstraint("annual_rate >= 0", name=op.f("capital_history_annual_rate_check")),
        sa.CheckConstraint(
            "available_cents > 0 OR available_cents = 0 AND NOT action IN ('ADDED', 'AMOUNT_CHANGED')",
            name=op.f("capital_history_available_check"),
        ),
        sa.CheckConstraint(
            "available_cents IS NOT NULL OR NOT action IN ('ADDED', 'AMOUNT_CHANGED')",
            name=op.f("capital_history_sets_amount_check"),
        ),
        sa.CheckConstraint(
            "annual_rate IS NOT NULL OR NOT action IN ('ADDED', 'RATE_CHANGED')",
            name=op.f("capital_history_sets_rate_check"),
        ),
        sa.CheckConstraint("length(notes) <= 1000", name=op.f("capital_history_notes_check")),
        sa.CheckConstraint("length(external_id) BETWEEN 1 AND 200", name=op.f("capital_history_external_id_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "actor_id"],
            ["memberships.organization_id", "memberships.user_id"],
            name=op.f("capital_history_organization_id_actor_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "source_id"],
            ["capital_sources.organization_id", "capital_sources.id"],
            name=op.f("capital_history_organization_id_source_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("capital_history_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("capital_history_pkey")),
        sa.UniqueConstraint("organization_id", "sequence", name=op.f("capital_history_organization_id_sequence_key")),
        sa.UniqueConstraint(
            "organization_id", "external_id", name=op.f("capital_history_organization_id_external_id_key")
        ),
    )


def create_indexes() -> None:
    for name, column in (("recorded", "recorded_at"), ("effective", "effective_on"), ("source", "source_id")):
        op.create_index(f"capital_history_{name}_idx", "capital_history", ["organization_id", column, "sequence"])
    op.create_index(
        "capital_history_added_idx",
        "capital_history",
        ["organization_id", "source_id"],
        unique=True,
        postgresql_where=sa.text("action = 'ADDED'"),
    )
    by_date = ["organization_id", "source_id", "effective_on", "sequence"]
    op.create_index(
        "capital_history_removed_idx", "capital_history", by_date, postgresql_where=sa.text("action = 'REMOVED'")
    )
    op.create_index(
        "capital_history_amount_idx",
        "capital_history",
        by_date,
        postgresql_include=["available_cents"],
        postgresql_where=sa.text("action IN ('ADDED', 'AMOUNT_CHANGED')"),
    )
    op.create_index(
        "capital_history_rate_idx",
        "capital_history",
        by_date,
        postgresql_include=["annual_rate"],
        postgresql_where=sa.text("action IN ('ADDED', 'RATE_CHANGED')"),
    )


# As before, and two things more: each event has a microsecond of its own, and one about an entry of capital history
# stores that entry, from its body, with a sequence over capital history alone and with its own time.
APPEND_AUDIT = """
CREATE OR REPLACE FUNCTION append_audit(
  p_organization_id bigint, p_actor_id bigint, p_request_id text,
  p_kinds text[], p_actions text[], p_subject_types text[], p_subject_ids text[], p_bodies text[], p_digests bytea[]
) RETURNS TABLE (last_sequence bigint, recorded_at timestamptz, transaction_id text)
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, public AS $$
DECLARE
  v_sequence bigint;
  v_capital_sequence bigint;
  v_recorded_at timestamptz;
  v_hash bytea;
BEGIN
  SELECT head.sequence, head.capital_sequence, head.recorded_at, head.hash
    INTO v_sequence, v_capital_sequence, v_recorded_at, v_hash
    FROM audit_heads AS head WHERE head.organization_id = p_organization_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'organization % has no audit head', p_organization_id;
  END IF;
  FOR i IN 1 .. cardinality(p_kinds) LOOP
    v_sequence := v_sequence + 1;
    v_recorded_at := greatest(clock_timestamp(), v_recorded_at + interval '1 microsecond');
    v_hash := sha256(v_hash || int8send(p_organization_id) || int8send(v_sequence)
      || int8send((extract(epoch FROM v_recorded_at) * 1000000)::bigint) || p_digests[i]);
    INSERT INTO audit_events (organization_id, sequence, kind, action, actor_id, subject_type, subject_id, request_id,
        body, digest, hash, recorded_at)
      VALUES (p_organization_id, v_sequence, p_kinds[i], p_actions[i], p_actor_id, p_subject_types[i],
        p_subject_ids[i], p_request_id, p_bodies[i], p_digests[i], v_hash, v_recorded_at);
    IF p_subject_types[i] = 'CapitalHistoryEntry' THEN
      v_capital_sequence := v_capital_sequence + 1;
      INSERT INTO capital_history (organization_id, id, sequence, source_id, action, effective_on, name, annual_rate,
          available_cents, previous_rate, previous_amount_cents, notes, external_id, actor_id, recorded_at)
        SELECT p_organization_id, p_subject_ids[i]::bigint, v_capital_sequence, entry.source_id, entry.action,
            entry.effective_on, entry.name, entry.annual_rate, entry.available_cents, entry.previous_rate,
            entry.previous_amount_cents, entry.notes, entry.external_id, p_actor_id, v_recorded_at
          FROM jsonb_to_record(p_bodies[i]::jsonb -> 'after') AS entry (source_id bigint, action text,
            effective_on date, name text, annual_rate numeric, available_cents bigint, previous_rate numeric,
            previous_amount_cents bigint, notes text, external_id text);
    END IF;
  END LOOP;
  UPDATE audit_heads AS head SET sequence = v_sequence, capital_sequence = v_capital_sequence,
      recorded_at = v_recorded_at, hash = v_hash
    WHERE head.organization_id = p_organization_id;
  RETURN QUERY SELECT v_sequence, v_recorded_at, pg_current_xact_id()::text;
END
$$
"""

# As revision 0001 made it.
APPEND_AUDIT_BEFORE = """
CREATE OR REPLACE FUNCTION append_audit(
  p_organization_id bigint, p_actor_id bigint, p_request_id text,
  p_kinds text[], p_actions text[], p_subject_types text[], p_subject_ids text[], p_bodies text[], p_digests bytea[]
) RETURNS TABLE (last_sequence bigint, recorded_at timestamptz, transaction_id text)
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, public AS $$
DECLARE
  v_sequence bigint;
  v_recorded_at timestamptz;
  v_hash bytea;
BEGIN
  SELECT head.sequence, greatest(clock_timestamp(), head.recorded_at + interval '1 microsecond'), head.hash
    INTO v_sequence, v_recorded_at, v_hash
    FROM audit_heads AS head WHERE head.organization_id = p_organization_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'organization % has no audit head', p_organization_id;
  END IF;
  FOR i IN 1 .. cardinality(p_kinds) LOOP
    v_sequence := v_sequence + 1;
    v_hash := sha256(v_hash || int8send(p_organization_id) || int8send(v_sequence)
      || int8send((extract(epoch FROM v_recorded_at) * 1000000)::bigint) || p_digests[i]);
    INSERT INTO audit_events (organization_id, sequence, kind, action, actor_id, subject_type, subject_id, request_id,
        body, digest, hash, recorded_at)
      VALUES (p_organization_id, v_sequence, p_kinds[i], p_actions[i], p_actor_id, p_subject_types[i],
        p_subject_ids[i], p_request_id, p_bodies[i], p_digests[i], v_hash, v_recorded_at);
  END LOOP;
  UPDATE audit_heads AS head SET sequence = v_sequence, recorded_at = v_recorded_at, hash = v_hash
    WHERE head.organization_id = p_organization_id;
  RETURN QUERY SELECT v_sequence, v_recorded_at, pg_current_xact_id()::text;
END
$$
"""


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute(APPEND_AUDIT_BEFORE)
    op.drop_column("audit_heads", "capital_sequence")
    op.drop_table("capital_history")
    op.drop_table("capital_sources")
