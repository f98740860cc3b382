"""Refreshing ahead: due tokens in pages, where each is renewed, whom the sweep leaves alone, warnings."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("tokens", sa.Column("token_host", sa.String(length=255), nullable=True))
    op.add_column("tokens", sa.Column("token_client", sa.String(length=32), nullable=True))
    op.add_column("tokens", sa.Column("warn_at", sa.Double(), nullable=True))
    op.drop_index("ix_tokens_due", table_name="tokens")
    op.create_index(
        "ix_tokens_due",
        "tokens",
        ["refresh_at", "account_id"],
        unique=False,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index(
        "ix_tokens_warn",
        "tokens",
        ["warn_at"],
        unique=False,
        sqlite_where=sa.text("warn_at IS NOT NULL"),
        postgresql_where=sa.text("warn_at IS NOT NULL"),
    )
    op.add_column("token_hosts", sa.Column("failures", sa.Integer(), server_default="0", nullable=False))
    op.add_column("token_hosts", sa.Column("shut_until", sa.Double(), server_default="0", nullable=False))
    op.create_table(
        "token_clients",
        sa.Column("client", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("stopped_until", sa.Double(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("client", name=op.f("pk_token_clients")),
    )
