"""Since when a provider refuses an account with words that nobody knows."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("tokens", sa.Column("refused_since", sa.Double(), nullable=True))
