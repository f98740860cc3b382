"""Accounts that wait for a person's consent, made before anybody could connect one; refresh tokens to be warned of."""

import json
import time

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

DAY = 86400.0


def upgrade() -> None:
    for integration in _by_consent():
        _wait_for_consent(integration)
    for ahead in (7 * DAY, DAY):
        _warn(ahead)


def _by_consent() -> list[str]:
    query = sa.text(
        "SELECT v.key, v.document FROM definition_versions AS v JOIN definitions AS d "
        "ON d.kind = v.kind AND d.key = v.key AND d.version = v.version WHERE v.kind = 'integration'"
    )
    rows = op.get_bind().execute(query).all()
    return [row.key for row in rows if json.loads(row.document)["auth"].get("grant") == "authorization_code"]


def _wait_for_consent(integration: str) -> None:
    """They stood as active, though there was never a token; whoever disconnected one has said so."""
    standing = {"integration": integration}
    op.get_bind().execute(
        sa.text(
            "UPDATE tokens SET state = 'dead', last_error = 'permanent_grant:not_connected', refresh_at = NULL "
            "WHERE version = 0 AND account_id IN "
            "(SELECT id FROM accounts WHERE integration = :integration AND state <> 'disconnected')"
        ),
        standing,
    )
    op.get_bind().execute(
        sa.text(
            "UPDATE accounts SET state = 'not_connected', cause = NULL "
            "WHERE integration = :integration AND state <> 'disconnected' AND id IN "
            "(SELECT account_id FROM tokens WHERE version = 0)"
        ),
        standing,
    )


def _warn(ahead: float) -> None:
    """Plan the first warning of refresh tokens for which none was planned. Within the last day it may have been sent."""
    op.get_bind().execute(
        sa.text(
            "UPDATE tokens SET warn_at = refresh_expires_at - :ahead "
            "WHERE warn_at IS NULL AND refresh_expires_at - :ahead > issued_at AND refresh_expires_at > :tomorrow"
        ),
        {"ahead": ahead, "tomorrow": time.time() + DAY},
    )
