"""The first schema: definitions, accounts, secrets, tokens, bindings."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("integration", sa.String(length=64), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("name", name=op.f("uq_accounts_name")),
    )
    op.create_index(op.f("ix_accounts_integration"), "accounts", ["integration"], unique=False)
    op.create_table(
        "definition_versions",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", "version", name=op.f("pk_definition_versions")),
    )
    op.create_table(
        "definitions",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_definitions")),
    )
    op.create_table(
        "token_hosts",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("blocked_until", sa.Double(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_token_hosts")),
    )
    op.create_table(
        "vault_records",
        sa.Column("table_name", sa.String(length=32), nullable=False),
        sa.Column("record_id", sa.String(length=64), nullable=False),
        sa.Column("field", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kek_id", sa.String(length=64), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", "record_id", "field", name=op.f("pk_vault_records")),
    )
    op.create_index(op.f("ix_vault_records_kek_id"), "vault_records", ["kek_id"], unique=False)
    op.create_table(
        "subject_bindings",
        sa.Column("profile", sa.String(length=64), nullable=False),
        sa.Column("adapter", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_subject_bindings_account_id_accounts"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("profile", "adapter", "subject", name=op.f("pk_subject_bindings")),
    )
    op.create_index(op.f("ix_subject_bindings_account_id"), "subject_bindings", ["account_id"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.Column("refresh_at", sa.Double(), nullable=True),
        sa.Column("issued_at", sa.Double(), nullable=True),
        sa.Column("access_expires_at", sa.Double(), nullable=True),
        sa.Column("refresh_expires_at", sa.Double(), nullable=True),
        sa.Column("attempt_id", sa.String(length=32), nullable=True),
        sa.Column("attempt_started_at", sa.Double(), nullable=True),
        sa.Column("attempt_fingerprint", sa.String(length=64), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=64), nullable=True),
        sa.Column("last_error_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_tokens_account_id_accounts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_tokens")),
    )
    op.create_index(
        "ix_tokens_due",
        "tokens",
        ["refresh_at"],
        unique=False,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
