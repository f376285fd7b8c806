"""Making the tables again: from the journal, or from themselves without what was deleted in them.

What must stay true: the old tables stay where they are until the new ones are complete and on disk;
new tables never say less than the old ones unless somebody agreed to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from crp.errors import StoreError
from crp_analytics import projection, schema
from crp_analytics.files import built_of, clear_errors, database_of, keep_copy, made, remove
from crp_analytics.index_file import KeptIndex
from crp_analytics.journal import Journal
from crp_analytics.lock import Owner

Progress = Callable[[int, int], None]
"""Is told how many of how many facts are in the new tables."""


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""


def rebuild(directory: Path, progress: Progress = no_progress, lossy: bool = False) -> int:
    """Make the tables of a store that nobody owns again, whatever state the old ones are in.

    Gives the number of facts. StoreError when somebody owns the store, or when the journal can not
    give all that the tables were made from, unless `lossy`.
    """
    with owned(directory) as journal:
        count = build(directory, journal, known(directory), progress, lossy)
        swap(directory)
    return count


@contextmanager
def owned(directory: Path) -> Iterator[Journal]:
    """Own a store's directory without opening its tables; give its journal."""
    owner = Owner(made(directory))
    try:
        journal = Journal(directory / "journal")
        try:
            yield journal
        finally:
            journal.close()
    finally:
        owner.release()


def known(directory: Path) -> int:
    """Give the last journal entry that the old tables hold; 0 when they can not be asked."""
    if not database_of(directory).exists():
        return 0
    try:
        with duckdb.connect(str(database_of(directory))) as connection:
            return projection.position(connection)
    except duckdb.Error:
        return 0


def build(
    directory: Path, journal: Journal, known: int, progress: Progress, lossy: bool = False
) -> int:
    """Make new tables from the journal beside the old ones, which hold the entries up to `known`.

    Gives the number of facts; StoreError as `rebuild`.
    """
    target = built_of(directory)
    remove(target)
    with clear_errors(directory):
        connection = duckdb.connect(str(target))
        try:
            schema.migrate(connection)
            count = projection.catch_up(
                connection, journal, lambda sequence: progress(sequence, journal.last)
            )
            connection.execute("CHECKPOINT")
        finally:
            connection.close()
    lost = max(journal.last, known) - count
    if lost and not lossy:
        remove(target)
        raise StoreError(_loss(journal, lost))
    return count


def swap(directory: Path, why: str = "rebuild") -> None:
    """Put the new tables in the place of the old ones, which go to `backups/`."""
    with clear_errors(directory):
        KeptIndex(directory).drop()
        keep_copy(database_of(directory), why)
        built_of(directory).replace(database_of(directory))


def copy(connection: DuckDBPyConnection, directory: Path) -> None:
    """Write everything into new tables beside: in a file, deleted rows leave their bytes."""
    connection.execute("CHECKPOINT")
    target = built_of(directory)
    remove(target)
    quoted = str(target).replace("'", "''")
    source = connection.execute("SELECT current_database()").fetchall()[0][0]
    connection.execute(f"ATTACH '{quoted}' AS rebuilt")
    try:
        connection.execute(f'COPY FROM DATABASE "{source}" TO rebuilt')
    finally:
        connection.execute("DETACH rebuilt")


def replace(directory: Path) -> None:
    """Put the new tables in the place of the old ones, which are deleted."""
    database = database_of(directory)
    database.with_name(database.name + ".wal").unlink(missing_ok=True)
    built_of(directory).replace(database)


def _loss(journal: Journal, count: int) -> str:
    entries = "1 entry" if count == 1 else f"{count} entries"
    where = f" ({journal.damage[0]})" if journal.damage else ""
    return (
        f"a rebuild would lose {entries} that the journal can not give{where}; the tables are as"
        " they were. `crp traces rebuild --from-temporal` may find them, --lossy does without"
    )
