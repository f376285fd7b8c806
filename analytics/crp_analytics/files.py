"""The files of a store: its directory, its database, the copies of older databases.

What must stay true: tables are never thrown away, they are set aside in `backups/`; a damaged
database is replaced only when the journal can make it again from its first entry.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from crp.errors import StoreError, StoreUnavailable
from crp_analytics import projection, schema
from crp_analytics.journal import Journal

_log = logging.getLogger(__name__)


def database_of(directory: Path) -> Path:
    """Say where a store's tables lie."""
    return directory / "traces.duckdb"


def open_database(directory: Path | None, journal: Journal | None) -> DuckDBPyConnection:
    """Open the tables, bring their schema up to date and catch up from the journal.

    Tables whose damage shows are set aside and made again, when the journal has its beginning.
    """
    with clear_errors(directory):
        try:
            return _opened(directory, journal)
        except duckdb.Error as error:
            if directory is None or not (is_damage(error) and _can_rebuild(journal)):
                raise
            _log.warning("the tables are damaged and are made again from the journal: %s", error)
            set_aside(database_of(directory), "damaged")
            return _opened(directory, journal)


def _opened(directory: Path | None, journal: Journal | None) -> DuckDBPyConnection:
    connection = _migrated(directory, journal)
    try:
        if journal is not None:
            journal.skip_to(projection.position(connection))
            if count := projection.catch_up(connection, journal):
                _log.info("%d facts applied from the journal", count)
            connection.execute("CHECKPOINT")
    except BaseException:
        connection.close()
        raise
    return connection


def is_damage(error: BaseException) -> bool:
    """Whether DuckDB found a block of its file that is not what it wrote."""
    return isinstance(error, duckdb.Error) and DAMAGED in str(error)


DAMAGED = "Corrupt database file"
"""What DuckDB says of it."""


def damage_of(database: Path) -> duckdb.Error | None:
    """Read every table of a file that nobody writes to; give the error when it is damaged."""
    try:
        with duckdb.connect(str(database), read_only=True) as connection:
            for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                connection.execute(f'SELECT bit_xor(hash(t)) FROM "{table}" AS t').fetchall()
    except duckdb.Error as error:
        return error if is_damage(error) else None
    return None


def is_unusable(error: BaseException) -> bool:
    """Whether DuckDB will not work with this connection any more."""
    return isinstance(error, duckdb.FatalException | duckdb.ConnectionException)


def _migrated(directory: Path | None, journal: Journal | None) -> DuckDBPyConnection:
    connection = _connected(directory, journal)
    try:
        if directory and _has_tables(connection) and schema.pending(connection):
            connection.close()
            database = database_of(directory)
            shutil.copy2(database, _backup_path(database, "migration"))
            connection = _connected(directory, journal)
        schema.migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _connected(directory: Path | None, journal: Journal | None) -> DuckDBPyConnection:
    if directory is None:
        return duckdb.connect(":memory:")
    database = database_of(directory)
    try:
        return duckdb.connect(str(database))
    except duckdb.Error as error:
        if "lock" in str(error).lower() or not _can_rebuild(journal):
            raise
        _log.warning("the database is damaged and is made again from the journal: %s", error)
        set_aside(database, "damaged")
        return duckdb.connect(str(database))


def _can_rebuild(journal: Journal | None) -> bool:
    return journal is not None and journal.first == 1 and journal.last > 0


@contextmanager
def clear_errors(directory: Path | None) -> Iterator[None]:
    """Turn what DuckDB and the file system say into one line for people."""
    where = directory or "in memory"
    try:
        yield
    except (duckdb.Error, OSError) as error:
        if isinstance(error, PASSING) or is_damage(error):  # whoever uses it next mends it
            raise StoreUnavailable(
                f"the trace store {where} can not be used: {one_line(error)}"
            ) from error
        raise StoreError(f"the trace store {where} has a problem: {one_line(error)}") from error


PASSING = (duckdb.OperationalError, duckdb.FatalException, OSError)


def one_line(error: Exception) -> str:
    """Say an error in one line."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error).strip().splitlines()[0]


def made(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return directory
    except OSError as error:
        raise StoreError(f"can not make the trace store {directory}: {error.strerror}") from error


def _has_tables(connection: DuckDBPyConnection) -> bool:
    return bool(connection.execute("SELECT 1 FROM duckdb_tables() LIMIT 1").fetchall())


def built_of(directory: Path) -> Path:
    """Say where tables are made that will replace the others."""
    return directory / "traces.rebuilt.duckdb"


def remove(database: Path) -> None:
    """Delete a database that nobody has open, and its log."""
    for path in (database, database.with_name(database.name + ".wal")):
        path.unlink(missing_ok=True)


def keep_copy(database: Path, why: str) -> None:
    """Keep the old tables where they are and in `backups/`, but not their log.

    What stood in the log alone is in the journal too; with other tables it would be damage.
    """
    if database.exists():
        backup = _backup_path(database, why)
        try:
            backup.hardlink_to(database)
        except OSError:  # not on this file system
            shutil.copy2(database, backup)
    database.with_name(database.name + ".wal").unlink(missing_ok=True)


def set_aside(database: Path, why: str) -> None:
    """Keep the old tables, but not its log: it belongs to a file of the old name."""
    if database.exists():
        database.rename(_backup_path(database, why))
    database.with_name(database.name + ".wal").unlink(missing_ok=True)


def _backup_path(database: Path, why: str) -> Path:
    folder = database.parent / "backups"
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    return folder / f"{now}-before-{why}.duckdb"
