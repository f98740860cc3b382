"""Attempts to connect an account at its provider: who may begin, and what may come back."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "connect_attempts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("ticket_hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("replaces", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("state_hash", sa.String(length=64), nullable=True),
        sa.Column("browser_hash", sa.String(length=64), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("issuer_required", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.Column("told", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_connect_attempts_account_id_accounts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connect_attempts")),
        sa.UniqueConstraint("ticket_hash", name=op.f("uq_connect_attempts_ticket_hash")),
        sa.UniqueConstraint("state_hash", name=op.f("uq_connect_attempts_state_hash")),
    )
    op.create_index(op.f("ix_connect_attempts_account_id"), "connect_attempts", ["account_id"], unique=False)
    op.create_index(op.f("ix_connect_attempts_expires_at"), "connect_attempts", ["expires_at"], unique=False)
