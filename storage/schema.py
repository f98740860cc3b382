"""The tables, the same on SQLite and PostgreSQL. Times are epoch seconds by the database's clock."""

from sqlalchemy import (
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
)
"""`version` grows whenever secrets or parameters change."""

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
)
"""Narrow, because claims rewrite it: the tokens themselves are vault records."""

Index(
    "ix_tokens_due",
    tokens.c.refresh_at,
    sqlite_where=tokens.c.state == "active",
    postgresql_where=tokens.c.state == "active",
)

token_hosts = Table(
    "token_hosts",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("blocked_until", Double, nullable=False),
    Column("reason", String(64), nullable=False),
)

subject_bindings = Table(
    "subject_bindings",
    metadata,
    Column("profile", String(64)),
    Column("adapter", String(64)),
    Column("subject", String(255)),
    Column("account_id", String(32), ForeignKey("accounts.id", ondelete="RESTRICT"), nullable=False, index=True),
    PrimaryKeyConstraint("profile", "adapter", "subject"),
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
