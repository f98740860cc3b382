"""One database, SQLite or PostgreSQL: transactions that mean what they say, and a clock that all processes share."""

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from sqlalchemy import Double, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from storage.errors import BadDatabaseUrl, DatabaseUnavailable, StorageError
from storage.migrate import upgrade

BUSY_SECONDS = 10
CONNECT_SECONDS = 10
STATEMENT_SECONDS = 10
"""PostgreSQL ends a statement by then, or its wait for a lock; a silent server is given up a little later."""

POOL_SIZE, POOL_OVERFLOW, POOL_SECONDS = 10, 10, 10
"""Connections that are kept, further ones at most, and how long a transaction waits for one: it lasts milliseconds."""
_LOCKED = "database is locked"


class db_now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function that it is
    """Epoch seconds by the database's clock, at the moment the statement runs."""

    type = Double()
    inherit_cache = True
    name = "db_now"


@compiles(db_now, "sqlite")
def _sqlite_now(element: db_now, compiler: Any, **kw: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(db_now, "postgresql")
def _postgresql_now(element: db_now, compiler: Any, **kw: Any) -> str:
    return "EXTRACT(EPOCH FROM clock_timestamp())::double precision"


class Database:
    """Opens connections as they are needed; `url` is SQLAlchemy's, with an async driver.

    Raises:
        BadDatabaseUrl: the URL cannot be used.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._url = url
        self.dialect = self.engine.dialect.name
        snapshot = {"isolation_level": "REPEATABLE READ"} if self.dialect == "postgresql" else {}  # SQLite's are always
        self._reader = self.engine.execution_options(**snapshot)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for statements that change nothing; all of them see the database at one moment."""
        with _unavailable(self.engine):
            async with self._reader.connect() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed when the body ends well.

        On SQLite it begins with the write lock (`BEGIN IMMEDIATE`): a read that a later write rests on cannot go stale.
        """
        with _unavailable(self.engine):
            async with self.engine.connect() as connection:
                await connection.execution_options(tieline_write=True)
                async with connection.begin():
                    yield connection

    async def migrate(self) -> None:
        """Bring the schema up to date; safe when several processes start at once.

        Raises:
            SchemaTooNew: a newer Tieline was here.
            DatabaseUnavailable: it cannot be reached or written.
        """
        engine = _engine(self._url, limited=False) if self.dialect == "postgresql" else self.engine
        try:
            with _unavailable(engine):
                await upgrade(engine)
        finally:
            if engine is not self.engine:
                await engine.dispose()

    async def dispose(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


_NO_URL = (
    "TIELINE_DATABASE_URL is no database URL: write sqlite+aiosqlite:///PATH or "
    "postgresql+asyncpg://USER:PASSWORD@HOST/NAME, and within the password %40 for @, %3A for : and %2F for /"
)


def _engine(url: str, *, limited: bool = True) -> AsyncEngine:
    """`limited`: no statement may take long; a migration may, and waits for the one that is under way."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError shows what stands in the place of the port
        raise BadDatabaseUrl(_NO_URL) from None
    if "sslmode" in parsed.query:
        raise BadDatabaseUrl("TIELINE_DATABASE_URL: write ?ssl=… instead of ?sslmode=…; the values are the same")
    if "@" in (parsed.host or ""):  # the end of a password: it would be shown as the host
        raise BadDatabaseUrl(_NO_URL)
    options: dict[str, Any] = {"timeout": BUSY_SECONDS}
    if parsed.get_backend_name() == "postgresql":
        options = {"timeout": CONNECT_SECONDS} | (_limits() if limited else {})
    pool = {"pool_size": POOL_SIZE, "max_overflow": POOL_OVERFLOW, "pool_timeout": POOL_SECONDS}
    if parsed.database in (None, "", ":memory:") and parsed.get_backend_name() == "sqlite":
        pool = {}  # a database in memory has one connection
    try:
        engine = create_async_engine(parsed, connect_args=options, hide_parameters=True, **pool)
    except (NoSuchModuleError, ModuleNotFoundError, ArgumentError, InvalidRequestError):
        raise BadDatabaseUrl(
            f"TIELINE_DATABASE_URL names driver {parsed.drivername!r}: use sqlite+aiosqlite or postgresql+asyncpg"
        ) from None
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    elif engine.dialect.name != "postgresql" or not engine.dialect.is_async:
        raise BadDatabaseUrl(f"{parsed.drivername} is not supported: use sqlite+aiosqlite or postgresql+asyncpg")
    else:
        _prepare_postgresql(engine)
    return engine


def _limits() -> dict[str, Any]:
    milliseconds = str(int(STATEMENT_SECONDS * 1000))
    server = {"statement_timeout": milliseconds, "lock_timeout": milliseconds}
    # The server's own limits go first, where it still answers: they leave the connection as it should be.
    return {"command_timeout": STATEMENT_SECONDS + 1, "server_settings": server}


def _prepare_sqlite(engine: AsyncEngine) -> None:
    """The driver's own transactions begin late and lose updates: take them over."""

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={BUSY_SECONDS}000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        immediate = connection.get_execution_options().get("tieline_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _prepare_postgresql(engine: AsyncEngine) -> None:
    """A connection that the server has ended, by a restart for example, is replaced instead of being given out once
    more. The driver knows of it without asking the server."""

    @event.listens_for(engine.sync_engine, "checkout")
    def on_checkout(connection: Any, record: Any, proxy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError


@contextlib.contextmanager
def _unavailable(engine: AsyncEngine) -> Iterator[None]:
    """Tell a database that is away apart from a statement that is wrong; neither shows parameters or passwords."""
    try:
        yield
    except OSError as error:
        raise _away(engine, "cannot be reached", error.strerror or "no answer") from None
    except PoolTimeoutError:
        raise DatabaseUnavailable(
            f"the database {_shown(engine)} cannot be used (all {POOL_SIZE + POOL_OVERFLOW} connections were busy for "
            f"{POOL_SECONDS} seconds): it is slow, or more is done at once than it can bear"
        ) from None
    except DBAPIError as error:
        fault = _plain(str(error.orig).splitlines()[0]) if error.orig else "no answer"
        state = str(getattr(error.orig, "sqlstate", None) or "")
        if state == _NO_TEXT:
            raise StorageError("a value holds a character that cannot be stored, such as NUL") from None
        if error.connection_invalidated or any(text in fault for text in _FAULTS) or state.startswith(_STATES + _BUSY):
            raise _away(engine, "cannot be used", fault) from None
        raise


_FAULTS = ("unable to open", "readonly", _LOCKED, "disk", "not a database", "connect")
_STATES = ("08", "25006", "28", "3D", "42501", "53", "57P", "58")
"""PostgreSQL's: no connection, read-only, no such user or database, no right, no room, shutting down, system error."""
_NO_TEXT = "22021"
_BUSY = ("40P01", "55P03", "57014")
"""PostgreSQL's: two that waited for each other, a lock that was not had in time, a statement that took too long."""


def _away(engine: AsyncEngine, how: str, fault: str) -> DatabaseUnavailable:
    if "timeout" in fault or "deadlock" in fault:
        action = "the server is slow, or another transaction holds what is needed: try again"
    elif engine.dialect.name == "postgresql":
        action = "see that the server runs, and that TIELINE_DATABASE_URL is right"
    elif _LOCKED in fault:
        action = "another process writes for long, or holds it: try again"
    else:
        action = "see that its folder is there and can be written, or correct TIELINE_DATABASE_URL"
    return DatabaseUnavailable(f"the database {_shown(engine)} {how} ({fault}): {action}")


def _plain(fault: str) -> str:
    """Driver messages begin with a class name."""
    return re.sub(r"^<class '[^']*'>: ", "", fault)


def _shown(engine: AsyncEngine) -> str:
    url = engine.url
    return str(url.database) if engine.dialect.name == "sqlite" else f"{url.host or 'localhost'}/{url.database}"
