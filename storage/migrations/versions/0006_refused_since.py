"""Since when a provider refuses an account with words that nobody knows; what is due at each host, without reading
what is due at others; whose claims ran out."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("tokens", sa.Column("refused_since", sa.Double(), nullable=True))
    op.create_index(
        "ix_tokens_due_at_host",
        "tokens",
        ["token_host", "refresh_at", "account_id", "token_client"],
        unique=False,
        sqlite_where=sa.text("state = 'active' AND refresh_at IS NOT NULL"),
        postgresql_where=sa.text("state = 'active' AND refresh_at IS NOT NULL"),
    )
    op.create_index(
        "ix_tokens_claimed",
        "tokens",
        ["refresh_at"],
        unique=False,
        sqlite_where=sa.text("lease_owner IS NOT NULL"),
        postgresql_where=sa.text("lease_owner IS NOT NULL"),
    )
