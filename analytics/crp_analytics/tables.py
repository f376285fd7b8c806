"""The files of one open store: its lock, its journal, the tables that are made from it, copies.

What must stay true: a fact is in the journal before whoever brought it is answered; the tables are
the facts of the journal up to `journal_position`; what waits to be put into them is put there
before anybody reads them; tables that turn out to be damaged are made again.

Two locks, taken in this order: `_lock` for every use, so writers that meet are committed together;
`_at_tables` for `_connection`. A thread that puts what waits into the tables holds the second
only: writers go on meanwhile, and look into the tables as they were last committed.

Facts wait because a batch of them costs little more than one: until somebody reads, until there
are many, or for a moment. When the tables can not be written (their disk is full), they wait on,
up to a bound: the journal has them, and a store that is opened catches up from it.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import duckdb
from duckdb import DuckDBPyConnection

from crp.errors import CRPError, StoreError, StoreUnavailable
from crp.models import Receipt
from crp_analytics import checking, erasing, projection, rebuilding
from crp_analytics.checking import Checked
from crp_analytics.erasing import Forgotten
from crp_analytics.facts import ForgetFact
from crp_analytics.files import (
    clear_errors,
    damage_of,
    is_damage,
    is_unusable,
    made,
    one_line,
    open_database,
)
from crp_analytics.group import Group, Writers
from crp_analytics.index_file import KeptIndex
from crp_analytics.journal import Journal
from crp_analytics.known import Known
from crp_analytics.lock import Owner
from crp_analytics.snapshot import Snapshots
from crp_analytics.waiting import Waiting

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Tables:
    """Read and write one store; without a directory it lives in memory and has no journal."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self.journal: Journal | None = None
        self.index = KeptIndex(directory)
        self._lock = threading.RLock()
        self._at_tables = threading.RLock()
        self._writers = Writers(self._lock, self._begin, self._commit, self._mended)
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._snapshots: Snapshots | None = None
        self._group: Group | None = None
        self._waiting = Waiting(self._go_on)
        self._closed = False
        self._owner = Owner(made(directory)) if directory else None
        try:
            self.journal = Journal(directory / "journal") if directory else None
            self._open()
            for unfinished in erasing.pending(directory, self._connection):
                self.forget(unfinished)
        except BaseException:
            self._let_go()
            raise

    def close(self) -> None:
        """Write everything into the database file and let another process own the store."""
        self._waiting.stop()
        with self._lock:
            if self._closed:
                return
            try:
                self._settle()
            except CRPError as error:
                _log.warning("the tables are behind the journal when the store closes: %s", error)
            self._closed, self._group = True, None
            self.index.save(self._connection)
            self._committed.close()
            self._connection.close()  # checkpoints
            self._let_go()

    @contextmanager
    def used(self) -> Iterator[DuckDBPyConnection]:
        """Give the connection, with everything that was acknowledged in its tables."""
        with self._lock, self._at_tables, clear_errors(self.directory):
            if self._closed:
                raise StoreError("the trace store is closed")
            connection = self._connection
            try:
                self._waiting.apply(connection)
                yield connection
            except duckdb.Error as error:
                # An inner use of the same error has mended them already.
                if self._connection is connection and self._mend(error):
                    raise StoreUnavailable(
                        f"the tables of the trace store {self.directory} had to be opened or made"
                        f" again, they are whole now: {one_line(error)}"
                    ) from error
                raise

    def write(self, decide: Callable[[Group], T]) -> T:
        """Let a function decide in a group of writers, and keep the facts that it adds.

        It is called again when it met damaged tables, which are whole then.
        """
        with clear_errors(self.directory):
            return self._writers.write(decide)

    @contextmanager
    def copy(self) -> Iterator[Path]:
        """Give a database file with everything recorded up to now, for as long as the block runs.

        Nobody changes it meanwhile, and the store is free.
        """
        with self._lock:
            copies = self._copies()
        with copies.lease(self._for_copy) as database:
            yield database

    def mend_what_is_copied(self) -> None:
        """Make the tables again when a new copy of their file turns out to be damaged.

        DuckDB itself notices only when it reads the place, and not what it has in memory.
        """
        with self.used() as copied:
            self._copies().clear()
        with self.copy() as database:
            error = damage_of(database)
        with contextlib.suppress(StoreUnavailable), self.used() as connection:
            if error and connection is copied:
                raise error

    # -- upkeep -------------------------------------------------------------------------------

    def rebuild(self) -> int:
        """Make the tables again from the journal; give the number of facts.

        The old tables go to `backups/`. StoreError when they know more than the journal does.
        """
        with self.used() as connection:
            if self.journal is None or self.directory is None:
                raise StoreError("a store in memory has no journal to be rebuilt from")
            known = projection.position(connection)
            count = rebuilding.build(self.directory, self.journal, known, rebuilding.no_progress)
            self._reopen(rebuilding.swap)
            return count

    def check(self) -> Checked:
        """Say what of the journal can not be read, and whether the tables have all of it."""
        with self.used() as connection:
            return checking.check(connection, self.journal)

    def forget(self, job_id: str) -> Forgotten:
        """Remove the texts of a job from every file; also a second time. NotFound."""
        gone = self.write(erasing.decider(self.journal, self.directory, job_id))
        with self.used() as connection:
            if self.journal is None or self.directory is None:
                return gone
            erasing.erase(connection, self.journal, self.directory, gone)
            self._reopen(rebuilding.replace)
            self._copies().clear()
            erasing.finish(self.directory, job_id)
        return gone

    def _mend(self, error: duckdb.Error) -> bool:
        """Make damaged tables again from the journal, so that the next try finds them whole.

        False when nothing was done: it is another error. StoreUnavailable when the journal can
        not give all that they may hold.
        """
        if self.directory is None or self.journal is None:
            return False
        if is_damage(error):
            _log.warning("the tables are damaged and are made again: %s", one_line(error))
            try:
                rebuilding.build(self.directory, self.journal, 0, rebuilding.no_progress)
            except StoreError as problem:
                raise StoreUnavailable(f"the tables are damaged: {problem}") from error
            self._reopen(lambda folder: rebuilding.swap(folder, "damaged"))
            self._copies().clear()
        elif is_unusable(error):
            self._reopen(lambda folder: None)
        else:
            return False
        return True

    def _mended(self, error: duckdb.Error) -> bool:
        """Mend what a group of writers met; they have the first lock."""
        with self._at_tables:
            return self._mend(error)

    def _reopen(self, change: Callable[[Path], None]) -> None:
        """Change the files while nobody has them open."""
        assert self.directory is not None
        self.index.drop()
        for connection in (self._committed, self._connection):
            with contextlib.suppress(duckdb.Error):  # what it could not write, the journal has
                connection.close()
        change(self.directory)
        self._open()
        self._waiting.clear()  # they have caught up from the journal
        self._group = None

    def _open(self) -> None:
        self._connection = open_database(self.directory, self.journal)
        self._committed = self._connection.cursor()
        """What writers look into: the tables without what is being put into them."""

    # -- groups of writers ------------------------------------------------------------------------

    def _begin(self) -> Group:
        """Go on with the group whose facts wait; begin one when the tables have everything."""
        if self._group is None or self._group.large or self._waiting.full:
            self._settle()
        if self._group is None or not self._waiting:
            known = self._group.known if self._group else Known.of(self._committed)
            self._group = Group(lambda: self._committed, self._settle, known)
        self._group.begin(Receipt(sequence=self._last() + 1, at=datetime.now(UTC)))
        return self._group

    def _commit(self, group: Group) -> None:
        """Into the journal: from then on the facts are kept, whatever happens to the tables."""
        sizes = [len(text) for _, text in group.facts]
        if self.journal is not None:
            self.journal.append([(fact.kind, text) for fact, text in group.facts], group.first.at)
        kept = group.kept()  # from here on nothing may fail: they are on disk
        self._waiting.add(kept, sizes)
        if any(isinstance(noted.fact, ForgetFact) for noted in kept):
            self._group = None  # it knows what was forgotten

    def _last(self) -> int:
        if self.journal is not None:
            return self.journal.last
        return self._waiting.last or projection.position(self._committed)

    def _settle(self) -> DuckDBPyConnection:
        """Put what waits into the tables; give them as they are then."""
        with self.used():
            return self._committed

    def _go_on(self) -> None:
        """Put a batch of what waits into the tables, beside the writers."""
        try:
            with self._at_tables:
                self._waiting.apply(self._connection, batches=1)
        except (duckdb.Error, OSError):
            self._settle()  # with all to itself it can mend the tables, or say what is wrong

    # -- places -----------------------------------------------------------------------------------

    def _for_copy(self, copy: Callable[[DuckDBPyConnection, int], Path]) -> Path:
        with self.used() as connection:
            return copy(connection, projection.position(connection))

    def _copies(self) -> Snapshots:
        self._snapshots = self._snapshots or Snapshots(self._snapshot_folder())
        return self._snapshots

    def _snapshot_folder(self) -> Path:
        if self.directory:
            return self.directory / "snapshots"
        self._scratch = tempfile.TemporaryDirectory(prefix="crp-store-")
        return Path(self._scratch.name)

    def _let_go(self) -> None:
        self._waiting.stop()
        for name in ("_committed", "_connection"):  # opening may have failed before there were any
            if connection := getattr(self, name, None):
                with contextlib.suppress(duckdb.Error):
                    connection.close()
        if self.journal is not None:
            self.journal.close()
        if self._scratch is not None:
            self._scratch.cleanup()
        if self._owner is not None:
            self._owner.release()
