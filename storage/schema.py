"""The tables, the same on SQLite and PostgreSQL. Times are epoch seconds by the database's clock."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

definition_versions = Table(
    "definition_versions",
    metadata,
    Column("kind", String(32)),
    Column("key", String(64)),
    Column("version", String(64)),
    Column("document", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("kind", "key", "version"),
)
"""Immutable; `version` is the SHA-256 of the canonical JSON in `document`."""

definitions = Table(
    "definitions",
    metadata,
    Column("kind", String(32)),
    Column("key", String(64)),
    Column("version", String(64), nullable=False),
    PrimaryKeyConstraint("kind", "key"),
)
"""Which version of a document is in force."""

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("integration", String(64), nullable=False, index=True),
    Column("parameters", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("cause", Text),
    Column("version", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("told_cause", String(64)),
)
"""`version` grows whenever secrets or parameters change. `told_cause`: of what people were told that it is dead, until
it is well again."""

vault_records = Table(
    "vault_records",
    metadata,
    Column("table_name", String(32)),
    Column("record_id", String(64)),
    Column("field", String(64)),
    Column("version", Integer, nullable=False),
    Column("kek_id", String(64), nullable=False, index=True),
    Column("ciphertext", LargeBinary, nullable=False),
    PrimaryKeyConstraint("table_name", "record_id", "field"),
)

host_keys = Table(
    "host_keys",
    metadata,
    Column("account_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE")),
    Column("position", Integer),
    Column("line", Text, nullable=False),
    Column("added_at", Double, nullable=False),
    Column("added_by", String(200), nullable=False),
    Column("why", Text, nullable=False),
    PrimaryKeyConstraint("account_id", "position"),
)
"""By which an SFTP server proves who it is: public keys, or lines of a known_hosts file."""

tokens = Table(
    "tokens",
    metadata,
    Column("account_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("lease_owner", String(64)),
    Column("lease_until", Double, nullable=False),
    Column("refresh_at", Double),
    Column("issued_at", Double),
    Column("access_expires_at", Double),
    Column("refresh_expires_at", Double),
    Column("attempt_id", String(32)),
    Column("attempt_started_at", Double),
    Column("attempt_fingerprint", String(64)),
    Column("failures", Integer, nullable=False),
    Column("last_error", String(64)),
    Column("last_error_at", Double),
    Column("token_host", String(255)),
    Column("token_client", String(32)),
    Column("warn_at", Double),
    Column("refused_since", Double),
)
"""Narrow, because claims rewrite it: the tokens themselves are vault records. `token_host` and `token_client` say
where, and as which OAuth client, the token was last asked for."""

Index(
    "ix_tokens_due",
    tokens.c.refresh_at,
    tokens.c.account_id,
    sqlite_where=tokens.c.state == "active",
    postgresql_where=tokens.c.state == "active",
)
Index(
    "ix_tokens_due_at_host",
    tokens.c.token_host,
    tokens.c.refresh_at,
    tokens.c.account_id,
    tokens.c.token_client,
    sqlite_where=(tokens.c.state == "active") & tokens.c.refresh_at.is_not(None),
    postgresql_where=(tokens.c.state == "active") & tokens.c.refresh_at.is_not(None),
)
Index(
    "ix_tokens_claimed",
    tokens.c.refresh_at,
    sqlite_where=tokens.c.lease_owner.is_not(None),
    postgresql_where=tokens.c.lease_owner.is_not(None),
)
Index(
    "ix_tokens_warn",
    tokens.c.warn_at,
    sqlite_where=tokens.c.warn_at.is_not(None),
    postgresql_where=tokens.c.warn_at.is_not(None),
)

token_hosts = Table(
    "token_hosts",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("blocked_until", Double, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("shut_until", Double, nullable=False, server_default="0"),
)
"""`blocked_until` is what a host asked for and binds everybody; `failures` in a row make the sweep leave it alone until
`shut_until`."""

token_clients = Table(
    "token_clients",
    metadata,
    Column("client", String(32), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("stopped_until", Double, nullable=False),
    Column("reason", String(64), nullable=False),
)
"""OAuth clients that a token endpoint refused: the sweep leaves all their accounts alone."""

subject_bindings = Table(
    "subject_bindings",
    metadata,
    Column("profile", String(64)),
    Column("adapter", String(64)),
    Column("subject", String(255)),
    Column("account_id", String(32), ForeignKey("accounts.id", ondelete="RESTRICT"), nullable=False, index=True),
    PrimaryKeyConstraint("profile", "adapter", "subject"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("allow", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("last_used_at", Double),
    Column("revoked_at", Double),
)
"""Revoked ones stay: that there was ever a token is what closes the door. `scopes` and `allow` are words."""

Index(
    "ix_api_tokens_in_use",
    api_tokens.c.name,
    unique=True,
    sqlite_where=api_tokens.c.revoked_at.is_(None),
    postgresql_where=api_tokens.c.revoked_at.is_(None),
)

connect_attempts = Table(
    "connect_attempts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("ticket_hash", String(64), nullable=False, unique=True),
    Column("account_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("redirect_uri", Text, nullable=False),
    Column("replaces", Boolean, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("state_hash", String(64), unique=True),
    Column("browser_hash", String(64)),
    Column("issuer", Text),
    Column("issuer_required", Boolean, nullable=False),
    Column("outcome", String(32)),
    Column("told", Text),
)
"""Of what a link, a state and a browser's cookie hold, only the SHA-256; the code verifier is a vault record."""

waiters = Table(
    "waiters",
    metadata,
    Column("ticket", String(32), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("profile", String(64), nullable=False, index=True),
    Column("adapter", String(64), nullable=False),
    Column("subject", String(255)),
    Column("workflow_id", String(255), nullable=False, index=True),
    Column("since", Double, nullable=False),
    Column("until", Double, nullable=False, index=True),
)
"""Runs to be woken; no list of runs that wait, which Temporal keeps: one that was cancelled stays here until it is
woken in vain, or until `until`."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("content", Text, nullable=False),
    Column("after_wakes", String(32), index=True),
    Column("woken", Integer, nullable=False),
    Column("told", Text, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("failures", Integer, nullable=False),
    Index("ix_outbox_due", "kind", "due_at"),
)
"""What must be sent because a transaction was committed: signals to runs, and notifications. `after_wakes` of a signal
names the notification that waits for it and counts it in `woken`; `told` are the notifiers that have had theirs."""

installation = Table("installation", metadata, Column("id", String(32), primary_key=True))
"""One row, made with the table: what tells this installation from others that keep files in the same place."""

assets = Table(
    "assets",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("payload", Boolean, nullable=False),
    Column("created_at", Double, nullable=False, index=True),
    Column("stored_at", Double),
)
"""`stored_at`: since when the content is known to lie in its place; none while it is put there, or if that was cut off.
`payload`: of a history, encrypted; else a file. `name` and `media_type` are the first that were said of the content."""

asset_holders = Table(
    "asset_holders",
    metadata,
    Column("sha256", String(64), ForeignKey("assets.sha256", ondelete="CASCADE")),
    Column("holder", Text),
    Column("since", Double, nullable=False),
    Column("until", Double, index=True),
    PrimaryKeyConstraint("sha256", "holder"),
)
"""Who needs an asset: a run, by its id, or `user`. Without `until`: for as long as Temporal knows the run."""
