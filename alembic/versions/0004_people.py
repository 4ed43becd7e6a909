"""People: passwords, sessions, invitations, API keys

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from api.db import row_security

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROLE_CHECK = "role IN ('ADMIN', 'EDITOR', 'VIEWER')"
OPEN = "accepted_at IS NULL AND revoked_at IS NULL"


def moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def number(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def row_id() -> sa.Column[object]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    create_authentication_tables()
    create_tenant_tables()
    protect_authentication_tables()
    protect_tenant_tables()


def create_authentication_tables() -> None:
    op.create_table(
        "user_passwords",
        number("user_id"),
        sa.Column("hash", sa.String(), nullable=False),
        now("changed_at"),
        sa.CheckConstraint("length(hash) BETWEEN 1 AND 500", name=op.f("user_passwords_hash_check")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("user_passwords_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("user_passwords_pkey")),
    )
    op.create_table(
        "sessions",
        row_id(),
        number("organization_id"),
        number("user_id"),
        sa.Column("network", sa.String(), nullable=False),
        now("created_at"),
        moment("expires_at", nullable=False),
        moment("idle_expires_at", nullable=False),
        moment("revoked_at"),
        sa.Column("revoked_for", sa.String(), nullable=True),
        sa.CheckConstraint("(revoked_at IS NULL) = (revoked_for IS NULL)", name=op.f("sessions_revoked_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "user_id"],
            ["memberships.organization_id", "memberships.user_id"],
            name=op.f("sessions_organization_id_user_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("sessions_pkey")),
    )
    op.create_index("sessions_member_idx", "sessions", ["organization_id", "user_id"], unique=False)
    op.create_index("sessions_user_idx", "sessions", ["user_id"], unique=False)
    op.create_table(
        "refresh_tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        number("session_id"),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=True),
        now("created_at"),
        moment("replaced_at"),
        sa.CheckConstraint("length(hash) = 32", name=op.f("refresh_tokens_hash_check")),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("refresh_tokens_session_id_fkey")),
        sa.PrimaryKeyConstraint("hash", name=op.f("refresh_tokens_pkey")),
    )
    op.create_index("refresh_tokens_session_idx", "refresh_tokens", ["session_id"], unique=False)
    op.create_table(
        "sign_in_throttles",
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("network", sa.String(), nullable=False),
        number("attempts"),
        moment("window_ends_at", nullable=False),
        sa.PrimaryKeyConstraint("email", "network", name=op.f("sign_in_throttles_pkey")),
    )
    op.create_index("sign_in_throttles_expiry_idx", "sign_in_throttles", ["window_ends_at"], unique=False)
    op.create_table(
        "sign_in_failures",
        row_id(),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=True),
        now("occurred_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("sign_in_failures_pkey")),
    )
    op.create_index("sign_in_failures_time_idx", "sign_in_failures", ["occurred_at"], unique=False)


def create_tenant_tables() -> None:
    op.create_table(
        "invitations",
        number("organization_id"),
        row_id(),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), server_default=sa.text("''"), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        number("invited_by", nullable=True),
        now("created_at"),
        moment("expires_at", nullable=False),
        moment("accepted_at"),
        moment("revoked_at"),
        sa.CheckConstraint(ROLE_CHECK, name=op.f("invitations_role_check")),
        sa.CheckConstraint(
            "email = lower(email) AND length(email) BETWEEN 3 AND 320", name=op.f("invitations_email_check")
        ),
        sa.CheckConstraint("length(name) <= 200", name=op.f("invitations_name_check")),
        sa.CheckConstraint("length(token_hash) = 32", name=op.f("invitations_token_hash_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "invited_by"],
            ["memberships.organization_id", "memberships.user_id"],
            name=op.f("invitations_organization_id_invited_by_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("invitations_organization_id_fkey")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("invitations_pkey")),
    )
    op.create_index(
        "invitations_open_idx", "invitations", ["organization_id", "email"], unique=True, postgresql_where=sa.text(OPEN)
    )
    op.create_index("invitations_email_idx", "invitations", ["email"], unique=False)
    op.create_index("invitations_token_idx", "invitations", ["token_hash"], unique=False)
    op.create_table(
        "api_keys",
        number("organization_id"),
        row_id(),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        number("created_by", nullable=True),
        now("created_at"),
        moment("expires_at", nullable=False),
        moment("last_used_at"),
        moment("revoked_at"),
        sa.CheckConstraint(ROLE_CHECK, name=op.f("api_keys_role_check")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 200", name=op.f("api_keys_name_check")),
        sa.CheckConstraint("length(hash) = 32", name=op.f("api_keys_hash_check")),
        sa.ForeignKeyConstraint(
            ["organization_id", "created_by"],
            ["memberships.organization_id", "memberships.user_id"],
            name=op.f("api_keys_organization_id_created_by_fkey"),
        ),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("api_keys_organization_id_fkey")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("api_keys_pkey")),
    )
    op.create_index("api_keys_hash_idx", "api_keys", ["hash"], unique=False)


def protect_authentication_tables() -> None:
    """These are out of the application's role's reach: it has neither a privilege on them nor a policy."""
    ended = "least(coalesce(revoked_at, expires_at), expires_at, idle_expires_at) < now() - interval '1 day'"
    is_member = (
        "EXISTS (SELECT 1 FROM memberships AS membership WHERE membership.organization_id = sessions.organization_id"
        " AND membership.user_id = sessions.user_id AND membership.removed_at IS NULL)"
    )
    is_invited = (
        "EXISTS (SELECT 1 FROM invitations AS invitation JOIN users AS person ON person.email = invitation.email"
        " WHERE person.id = user_passwords.user_id AND invitation.accepted_at IS NULL"
        " AND invitation.revoked_at IS NULL AND invitation.expires_at > now())"
    )
    of_ended = f"EXISTS (SELECT 1 FROM sessions WHERE sessions.id = refresh_tokens.session_id AND {ended})"
    old = "occurred_at < now() - interval '90 days'"
    policies = {
        "user_passwords": {"SELECT": "true", "INSERT": is_invited, "UPDATE": "true"},
        "sessions": {"SELECT": "true", "INSERT": is_member, "UPDATE": "revoked_at IS NULL", "DELETE": ended},
        "refresh_tokens": {"SELECT": "true", "INSERT": "true", "UPDATE": "replaced_at IS NULL", "DELETE": of_ended},
        "sign_in_throttles": {"SELECT": "true", "INSERT": "true", "UPDATE": "true", "DELETE": "true"},
        "sign_in_failures": {
            "SELECT": old,
            "INSERT": "true",
            "DELETE": old,
        },
    }
    updated = {
        "user_passwords": "hash",
        "sessions": "idle_expires_at, revoked_at, revoked_for",
        "refresh_tokens": "replaced_at",
        "sign_in_throttles": "attempts, window_ends_at",
    }
    for table, conditions in policies.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY maintenance ON {table} TO tranche_maintenance USING (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO tranche_maintenance")
        for command, condition in conditions.items():
            let_authentication(table, command, condition, updated.get(table, ""))


def let_authentication(table: str, command: str, condition: str, columns: str) -> None:
    """Lets tranche_auth do one thing with the rows that the condition admits."""
    clause = {
        "INSERT": f"WITH CHECK ({condition})",
        "UPDATE": f"USING ({condition}) WITH CHECK (true)",
    }.get(command, f"USING ({condition})")
    op.execute(f"CREATE POLICY authentication_{command.lower()} ON {table} FOR {command} TO tranche_auth {clause}")
    what = f"UPDATE ({columns})" if command == "UPDATE" else command
    op.execute(f"GRANT {what} ON {table} TO tranche_auth")


def protect_tenant_tables() -> None:
    """An invitation is what lets authentication make a user and a member, and nothing else does."""
    for table in ("invitations", "api_keys"):
        for statement in (
            *row_security.protect_tenant_table(table, application="SELECT, INSERT, UPDATE"),
            *row_security.let_authentication_read(table),
        ):
            op.execute(statement)
    let_authentication("api_keys", "UPDATE", "true", "last_used_at")
    is_invited = (
        "EXISTS (SELECT 1 FROM invitations AS invitation WHERE invitation.email = users.email"
        " AND invitation.accepted_at IS NULL AND invitation.revoked_at IS NULL AND invitation.expires_at > now())"
    )
    let_authentication("users", "INSERT", is_invited, "")
    may_join = (
        "EXISTS (SELECT 1 FROM invitations AS invitation JOIN users AS person ON person.email = invitation.email"
        " WHERE invitation.organization_id = memberships.organization_id AND person.id = memberships.user_id"
        " AND invitation.role = memberships.role AND invitation.accepted_at IS NULL"
        " AND invitation.revoked_at IS NULL AND invitation.expires_at > now())"
    )
    let_authentication("memberships", "INSERT", may_join, "")
    op.execute(
        "CREATE POLICY authentication_update ON memberships FOR UPDATE TO tranche_auth"
        f" USING (removed_at IS NOT NULL) WITH CHECK (removed_at IS NULL AND {may_join})"
    )
    op.execute("GRANT UPDATE (role, version, removed_at) ON memberships TO tranche_auth")
    op.execute("GRANT UPDATE (role, version, removed_at) ON memberships TO tranche_app")
    # Locking an organization, for rules over all of its members, takes the right to update.
    op.execute("GRANT UPDATE (version) ON organizations TO tranche_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("REVOKE UPDATE (version) ON organizations FROM tranche_app")
    op.execute("REVOKE UPDATE (role, version, removed_at) ON memberships FROM tranche_app, tranche_auth")
    op.execute("REVOKE INSERT ON memberships, users FROM tranche_auth")
    for table, command in (("memberships", "insert"), ("memberships", "update"), ("users", "insert")):
        op.execute(f"DROP POLICY authentication_{command} ON {table}")
    for table in (
        "api_keys",
        "refresh_tokens",
        "user_passwords",
        "sessions",
        "invitations",
        "sign_in_throttles",
        "sign_in_failures",
    ):
        op.drop_table(table)
