"""Organizations

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from api.db import row_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    create_tables()
    create_roles()
    create_policies()
    op.execute(APPEND_AUDIT)
    op.execute(f"REVOKE ALL ON FUNCTION {APPEND_AUDIT_SIGNATURE} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {APPEND_AUDIT_SIGNATURE} TO tranche_app, tranche_maintenance")


def create_tables() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column(
            "base_currency",
            sa.String(),
            server_default=sa.text("'USD'"),
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("base_currency ~ '^[A-Z]{3}$'", name=op.f("organizations_base_currency_check")),
        sa.CheckConstraint("slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'", name=op.f("organizations_slug_check")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 200", name=op.f("organizations_name_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("organizations_pkey")),
        sa.UniqueConstraint("slug", name=op.f("organizations_slug_key")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("email = lower(email) AND length(email) BETWEEN 3 AND 320", name=op.f("users_email_check")),
        sa.CheckConstraint("length(name) <= 200", name=op.f("users_name_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("users_pkey")),
        sa.UniqueConstraint("email", name=op.f("users_email_key")),
    )
    op.create_table(
        "memberships",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('ADMIN', 'EDITOR', 'VIEWER')", name=op.f("memberships_role_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("memberships_organization_id_fkey")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("memberships_user_id_fkey")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("memberships_pkey")),
        sa.UniqueConstraint("organization_id", "user_id", name=op.f("memberships_organization_id_user_id_key")),
    )
    op.create_index(op.f("memberships_user_id_idx"), "memberships", ["user_id"], unique=False)
    op.create_table(
        "audit_heads",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("'epoch'"), nullable=False),
        sa.Column("hash", sa.LargeBinary(), server_default=sa.text("'\\x'::bytea"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("audit_heads_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("audit_heads_pkey")),
    )
    op.create_table(
        "audit_events",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("subject_type", sa.String(), nullable=True),
        sa.Column("subject_id", sa.String(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("body", sa.String(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('FINANCIAL', 'SECURITY', 'SYSTEM')", name=op.f("audit_events_kind_check")),
        sa.CheckConstraint("length(digest) = 32 AND length(hash) = 32", name=op.f("audit_events_hash_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "actor_id"],
            ["memberships.organization_id", "memberships.user_id"],
            name=op.f("audit_events_organization_id_actor_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("audit_events_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("audit_events_pkey")),
        sa.UniqueConstraint("organization_id", "sequence", name=op.f("audit_events_organization_id_sequence_key")),
    )
    op.create_index("audit_events_kind_idx", "audit_events", ["organization_id", "kind", "sequence"], unique=False)
    op.create_index(
        "audit_events_subject_idx",
        "audit_events",
        ["organization_id", "subject_type", "subject_id", "sequence"],
        unique=False,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("mutation", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), server_default=sa.text("''"), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(fingerprint) = 32", name=op.f("idempotency_keys_fingerprint_check")),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 128", name=op.f("idempotency_keys_key_check")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("idempotency_keys_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("idempotency_keys_pkey")),
        sa.UniqueConstraint("organization_id", "mutation", "parent", "key", name="idempotency_keys_claim_key"),
    )
    op.create_index("idempotency_keys_expiry_idx", "idempotency_keys", ["organization_id", "expires_at"], unique=False)


APPEND_AUDIT_SIGNATURE = "append_audit(bigint, bigint, text, text[], text[], text[], text[], text[], bytea[])"

# Sequence, time, chain and insert happen under the head's row lock, which is held until the commit that follows: so the
# sequence is dense and in commit order. The digests were computed before, outside of the lock.
APPEND_AUDIT = """
CREATE FUNCTION append_audit(
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

# Roles belong to the cluster, and other databases of it may have made them already.
CREATE_ROLE = """
DO $$
BEGIN
  CREATE ROLE {role} {attributes};
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;
END
$$
"""

ROLES = {
    "tranche_app": "NOLOGIN NOBYPASSRLS",
    "tranche_auth": "NOLOGIN NOBYPASSRLS",
    "tranche_maintenance": "NOLOGIN NOBYPASSRLS",
    "tranche_server": "NOLOGIN NOINHERIT NOBYPASSRLS",
}


def create_roles() -> None:
    for role, attributes in ROLES.items():
        op.execute(CREATE_ROLE.format(role=role, attributes=attributes))
    op.execute("GRANT tranche_app, tranche_auth TO tranche_server")
    op.execute("GRANT tranche_maintenance TO CURRENT_USER")
    op.execute("GRANT USAGE ON SCHEMA public TO tranche_app, tranche_auth, tranche_maintenance, tranche_server")
    op.execute("GRANT SELECT ON alembic_version TO tranche_app")


def create_policies() -> None:
    organization = row_security.CURRENT_ORGANIZATION
    colleague = (
        "EXISTS (SELECT 1 FROM memberships AS membership"
        f" WHERE membership.organization_id = {organization} AND membership.user_id = users.id)"
    )
    statements = [
        *row_security.protect_global_table("organizations", visible=f"id = {organization}", application="SELECT"),
        *row_security.protect_global_table("users", visible=colleague, application="SELECT"),
        *row_security.protect_tenant_table("memberships", application="SELECT"),
        *row_security.protect_tenant_table("audit_heads", application="SELECT, UPDATE"),
        *row_security.protect_tenant_table("audit_events", application="SELECT, INSERT"),
        *row_security.protect_tenant_table("idempotency_keys", application="SELECT, INSERT, UPDATE"),
        *(
            statement
            for table in ("organizations", "users", "memberships")
            for statement in row_security.let_authentication_read(table)
        ),
    ]
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("DROP POLICY tenant ON users")
    op.drop_table("idempotency_keys")
    op.drop_table("audit_events")
    op.drop_table("audit_heads")
    op.drop_table("memberships")
    op.drop_table("users")
    op.drop_table("organizations")
    op.execute(f"DROP FUNCTION {APPEND_AUDIT_SIGNATURE}")
    op.execute("REVOKE ALL ON alembic_version FROM tranche_app")
    op.execute("REVOKE ALL ON SCHEMA public FROM tranche_app, tranche_auth, tranche_maintenance, tranche_server")
