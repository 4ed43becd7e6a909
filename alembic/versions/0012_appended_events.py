"""What append_audit has made of the last event, told to whoever appended it

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SIGNATURE = "append_audit(bigint, bigint, text, text[], text[], text[], text[], text[], bytea[])"

# As revision 0007 made it, and two things more that it answers: the id of the last event, and the last sequence of
# capital history.
APPEND_AUDIT = """
CREATE FUNCTION append_audit(
  p_organization_id bigint, p_actor_id bigint, p_request_id text,
  p_kinds text[], p_actions text[], p_subject_types text[], p_subject_ids text[], p_bodies text[], p_digests bytea[]
) RETURNS TABLE (last_sequence bigint, recorded_at timestamptz, transaction_id text, last_event_id bigint,
  last_capital_sequence bigint)
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, public AS $$
DECLARE
  v_sequence bigint;
  v_capital_sequence bigint;
  v_recorded_at timestamptz;
  v_hash bytea;
  v_event_id bigint;
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
        p_subject_ids[i], p_request_id, p_bodies[i], p_digests[i], v_hash, v_recorded_at)
      RETURNING id INTO v_event_id;
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
  RETURN QUERY SELECT v_sequence, v_recorded_at, pg_current_xact_id()::text, v_event_id, v_capital_sequence;
END
$$
"""

# As revision 0007 made it.
APPEND_AUDIT_BEFORE = """
CREATE FUNCTION append_audit(
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


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    replace(APPEND_AUDIT)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    replace(APPEND_AUDIT_BEFORE)


def replace(definition: str) -> None:
    """Makes the function anew: what a function answers cannot be changed."""
    op.execute(f"DROP FUNCTION {SIGNATURE}")
    op.execute(definition)
    op.execute(f"REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {SIGNATURE} TO tranche_app, tranche_maintenance")
