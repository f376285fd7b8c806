"""The schema: numbered migrations, views and column comments, all from the package's SQL files.

Stored: `schema_migrations`, one row a migration that was applied, by its number.
What must stay true: a migration is applied in one transaction and never changed afterwards (its
sha256 is compared); a store that a newer version wrote is refused; views and macros are made
again whenever a store is opened, so they are never older than the code.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from typing import NamedTuple

from duckdb import DuckDBPyConnection

from crp.errors import StoreError, StoreTooNew


class Migration(NamedTuple):
    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Give the migrations that this version knows, oldest first."""
    return [
        Migration(int(name.split("_")[0]), name, text) for name, text in _sql_files("migrations")
    ]


def pending(connection: DuckDBPyConnection) -> list[Migration]:
    """Give the migrations that a store still needs.

    StoreTooNew when it has some that this version does not know.
    """
    known = {m.version: m for m in migrations()}
    applied = dict(_applied(connection))
    if too_new := sorted(applied.keys() - known.keys()):
        raise StoreTooNew(
            f"the trace store has schema {too_new[-1]}, this version of crp knows"
            f" {max(known)}: update crp to use it"
        )
    for version, sha256 in applied.items():
        if known[version].sha256 != sha256:
            raise StoreError(
                f"migration {known[version].name} is not the one that made this store:"
                " rebuild the store from its journal"
            )
    return [m for version, m in known.items() if version not in applied]


def migrate(connection: DuckDBPyConnection) -> None:
    """Bring tables, comments and views up to date."""
    for migration in pending(connection):
        with transaction(connection):
            connection.execute(LEDGER)
            connection.execute(migration.text)
            _comment(connection, migration.text)
            row = [migration.version, migration.name, migration.sha256, _now()]
            connection.execute("INSERT INTO schema_migrations VALUES (?, ?, ?, ?)", row)
    with transaction(connection):
        _make_views(connection)


class transaction:
    """Commit what the block did, or none of it."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


def _applied(connection: DuckDBPyConnection) -> list[tuple[int, str]]:
    has = "SELECT 1 FROM duckdb_tables() WHERE table_name = 'schema_migrations'"
    if not connection.execute(has).fetchall():
        return []
    return connection.execute("SELECT version, sha256 FROM schema_migrations").fetchall()


def _make_views(connection: DuckDBPyConnection) -> None:
    old = "SELECT view_name FROM duckdb_views() WHERE NOT internal"
    for (name,) in connection.execute(old).fetchall():
        connection.execute(f'DROP VIEW "{name}"')
    for _, text in _sql_files("views"):
        connection.execute(text)
        view = _VIEW.search(text)
        if view:
            _set_comment(connection, f"VIEW {view[1]}", _words(text[: view.start()]))


def _comment(connection: DuckDBPyConnection, text: str) -> None:
    """Turn the `--` comments above tables and behind columns into COMMENTs, which SQL can show."""
    for head, table, body in _TABLE.findall(text):
        _set_comment(connection, f"TABLE {table}", _words(head))
        for column, words in _COLUMN.findall(body):
            _set_comment(connection, f"COLUMN {table}.{column}", words)


def _set_comment(connection: DuckDBPyConnection, what: str, words: str) -> None:
    quoted = words.replace("'", "''")
    connection.execute(f"COMMENT ON {what} IS '{quoted}'")


def _words(comment: str) -> str:
    return "\n".join(line.removeprefix("--").strip() for line in comment.strip().splitlines())


def _sql_files(folder: str) -> Iterator[tuple[str, str]]:
    paths = [
        p for p in files("crp_analytics").joinpath(folder).iterdir() if p.name.endswith(".sql")
    ]
    for path in sorted(paths, key=lambda p: p.name):
        yield path.name.removesuffix(".sql"), path.read_text(encoding="utf-8")


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


_TABLE = re.compile(
    r"((?:^--[^\n]*\n)+)CREATE TABLE (\w+) \(\n(.*?)\n\);", re.MULTILINE | re.DOTALL
)
_COLUMN = re.compile(r"^ +(\w+) .*?-- (.+)$", re.MULTILINE)
_VIEW = re.compile(r"CREATE VIEW (\w+)")

LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER NOT NULL,
    name VARCHAR,
    sha256 VARCHAR,
    applied_at TIMESTAMP
)
"""
