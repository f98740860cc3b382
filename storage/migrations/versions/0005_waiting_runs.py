"""Runs that wait for an account, and what is sent when it is well again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("told_cause", sa.String(length=64), nullable=True))
    op.create_table(
        "waiters",
        sa.Column("ticket", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("profile", sa.String(length=64), nullable=False),
        sa.Column("adapter", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=True),
        sa.Column("workflow_id", sa.String(length=255), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_waiters_account_id_accounts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("ticket", name=op.f("pk_waiters")),
    )
    op.create_index(op.f("ix_waiters_account_id"), "waiters", ["account_id"], unique=False)
    op.create_index(op.f("ix_waiters_profile"), "waiters", ["profile"], unique=False)
    op.create_index(op.f("ix_waiters_workflow_id"), "waiters", ["workflow_id"], unique=False)
    op.create_index(op.f("ix_waiters_until"), "waiters", ["until"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("after_wakes", sa.String(length=32), nullable=True),
        sa.Column("woken", sa.Integer(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_after_wakes"), "outbox", ["after_wakes"], unique=False)
    op.create_index("ix_outbox_due", "outbox", ["kind", "due_at"], unique=False)
