"""The trace store: one owner, a journal that is the truth, DuckDB tables that are made from it.

Stored, in one directory: `journal/` (every fact, see `journal` and `facts`), `traces.duckdb` (the
tables, see migrations/), `backups/` (the tables as they were before a migration or a rebuild),
`snapshots/` (copies for queries), `retrieval.index` (see `index_file`), `owner.lock`.
A job is identified by its job_id, a trace by its trace_id, a fact by its journal sequence.
What must stay true: what was acknowledged is in the journal; the tables are the facts of the
journal up to `journal_position`, each once; nobody but the owner opens `traces.duckdb`.

Every use holds one lock, so a store may be shared by threads; writers that meet are committed
together.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb
from duckdb import DuckDBPyConnection

from crp.errors import StoreError, StoreUnavailable, UsageError
from crp.models import (
    CurationReport,
    JobRecord,
    MetaLearningConfig,
    ReasoningTrace,
    Receipt,
    Recorded,
    Retrieved,
)
from crp_analytics import (
    checking,
    curation,
    erasing,
    projection,
    reading,
    rebuilding,
    retrieval,
    sql,
)
from crp_analytics.checking import Checked
from crp_analytics.desk import Desk
from crp_analytics.erasing import Forgotten
from crp_analytics.facts import JobFact, Noted, from_entry
from crp_analytics.files import clear_errors, is_damage, is_fatal, made, open_database
from crp_analytics.group import Group, Writers
from crp_analytics.index_file import KeptIndex
from crp_analytics.journal import Damage, Journal
from crp_analytics.lock import Owner
from crp_analytics.publish import Published, publish
from crp_analytics.retrieval import Request, Similar
from crp_analytics.scoring import Scored
from crp_analytics.snapshot import Snapshots
from crp_analytics.sql import Table
from crp_analytics.text import forgotten_name

T = TypeVar("T")


class TraceStore:
    """Record jobs, retrieve examples, curate the library, answer SQL."""

    def __init__(self, directory: Path | None) -> None:
        """Use `TraceStore.open(directory)` or `TraceStore.in_memory()`."""
        self._lock = threading.RLock()
        self._writers = Writers(self._lock, self._begin, self._commit)
        self._directory = directory
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._snapshots: Snapshots | None = None
        self._index = KeptIndex(directory)
        self._journal: Journal | None = None
        self._behind = False
        self._closed = False
        self.desk = Desk(self._write, self._used, self.record_of)
        """What people do to the library."""
        self._owner = Owner(made(directory)) if directory else None
        try:
            self._journal = Journal(directory / "journal") if directory else None
            self._connection = open_database(directory, self._journal)
        except BaseException:
            self._let_go()
            raise
        if unfinished := erasing.pending(directory):
            self.forget(unfinished)

    @classmethod
    def open(cls, directory: Path) -> TraceStore:
        """Own a store: lock it, bring its schema up to date, catch up from the journal.

        StoreError when it has an owner already or can not be written, StoreTooNew when a newer
        version wrote it.
        """
        return cls(directory)

    @classmethod
    def in_memory(cls) -> TraceStore:
        """Give a store that lives as long as the object: no file, no journal, no lock."""
        return cls(None)

    def close(self) -> None:
        """Write everything into the database file and let another process own the store."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._index.save(self._connection)
            self._connection.close()  # checkpoints
            self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def damage(self) -> tuple[Damage, ...]:
        """The places of the journal that could not be read."""
        return self._journal.damage if self._journal else ()

    # -- jobs ---------------------------------------------------------------------------------

    def record(self, record: JobRecord) -> Recorded:
        """Keep a finished job, whatever its end; recording it again changes nothing.

        StoreUnavailable when the disk is full: it may be tried again.
        """

        def decide(group: Group) -> Recorded:
            job_id = record.job.job_id
            before = group.jobs.get(job_id) or self._recorded(record, group)
            if before:
                return before.model_copy(update={"duplicate": True})
            refusal = group.library.refusal(record)
            reason = refusal or "a good example: it entered the library"
            receipt = group.add(JobFact(record=record, stored=not refusal, reason=reason))
            if not refusal and record.trace:
                group.library.add(record.trace, job_id)
            group.jobs[job_id] = Recorded(
                job_id=job_id,
                stored=not refusal,
                reason=reason,
                curation_due=_curation_due(record, group.jobs_since_curation() + 1),
                receipt=receipt,
            )
            return group.jobs[job_id]

        return self._write(decide)

    def score(self, job_id: str, value: float, by: str, note: str = "") -> Scored:
        """Judge a finished job, from 0 to 1. A person's score wins over all others."""
        return self.desk.score(job_id, value, by, note)

    def job(self, job_id: str) -> dict[str, Any] | None:
        """Give everything about a job but its prompts, with its steps and attempts, or None."""
        with self._used() as connection:
            return reading.job(connection, job_id)

    def record_of(self, job_id: str) -> JobRecord | None:
        """Give a finished job's record as it was handed in; None when there is none.

        A store in memory keeps no records.
        """
        with self._used() as connection:
            place = reading.place_of(connection, job_id)
            if place is None or self._journal is None:
                return None
            entry = next(self._journal.read(place - 1), None)
            fact = from_entry(entry).fact if entry and entry.sequence == place else None
            return fact.record if isinstance(fact, JobFact) else None

    def jobs(self, limit: int = 50) -> list[dict[str, Any]]:
        """Give the latest jobs, newest first."""
        with self._used() as connection:
            return reading.jobs(connection, limit)

    # -- the library --------------------------------------------------------------------------

    def retrieve(
        self,
        job_id: str,
        task: str,
        task_type: str,
        model_class: str,
        template_sha256: str,
        model_name: str,
        limit: int,
        min_quality: float,
        hold_out: float,
    ) -> Retrieved:
        """Give the examples for a job. Asking again gives the same answer and counts no use."""
        request = Request(
            job_id,
            task,
            task_type,
            model_class,
            template_sha256,
            model_name,
            limit,
            min_quality,
            hold_out,
        )

        def decide(group: Group) -> Retrieved:
            fact = group.retrievals.get(job_id)
            fact = fact or reading.past_retrieval(self._connection, job_id)
            if fact is None:
                index = self._index.now(self._connection)
                fact = retrieval.find(self._connection, index, request)
                fact = fact.model_copy(update={"receipt": group.add(fact)})
                group.retrievals[job_id] = fact
            ids = [offer.trace_id for offer in fact.offers]
            return retrieval.shown(fact, reading.traces_by_id(self._connection, ids))

        return self._write(decide)

    def similar(
        self, task: str, task_type: str, model_class: str, limit: int, min_quality: float
    ) -> list[Similar]:
        """Say what a job with this task would find, and why; nothing is counted."""
        request = Request("", task, task_type, model_class, "", "", limit, min_quality, 0.0)
        with self._used() as connection:
            return retrieval.similar(connection, self._index.now(connection), request)

    def add_trace(self, trace: ReasoningTrace) -> bool:
        """Put a trace into the library; False when it or an identical one is there already."""
        return not self.desk.add_all([trace])[0]

    def traces(
        self, task_type: str | None = None, limit: int = 50, active_only: bool = True
    ) -> list[ReasoningTrace]:
        """Give library entries, newest first, with their usage counts."""
        with self._used() as connection:
            return reading.traces(connection, task_type, limit, active_only)

    @property
    def trace_count(self) -> int:
        """The number of active library entries."""
        with self._used() as connection:
            return int(connection.execute(ACTIVE).fetchall()[0][0])

    def curate(self, config: MetaLearningConfig) -> CurationReport:
        """Retire the traces that do not deserve their place. Their history stays."""
        return curation.report(self.desk.curate(config))

    # -- analytics ----------------------------------------------------------------------------

    def sql(
        self, query: str, *, row_cap: int = 1000, seconds: float = 30.0, memory_mb: int = 1024
    ) -> Table:
        """Run an analyst's query on a consistent copy, in a child process with limits.

        QueryError with one line when it is refused, wrong, too slow or too big.
        """
        with self.copy() as database:
            return sql.run(database, query, row_cap, seconds, memory_mb)

    def publish(
        self, folder: Path, *, with_texts: bool = False, parquet: bool = False
    ) -> Published:
        """Write a snapshot that other programs open; without texts unless they are asked for.

        UsageError for a folder of the store's own, StoreError when it can not be written.
        """
        if self._directory and folder.resolve().is_relative_to(self._directory.resolve()):
            raise UsageError(f"{folder} belongs to the trace store: publish somewhere else")
        with self.copy() as database:
            return publish(database, folder, with_texts=with_texts, parquet=parquet)

    @contextmanager
    def copy(self) -> Iterator[Path]:
        """Give a database file with everything recorded up to now, for as long as the block runs.

        Nobody changes it meanwhile, and the store is free.
        """
        with self._lock:
            copies = self._copies()
        with copies.lease(self._for_copy) as database:
            yield database

    def checkpoint(self) -> None:
        """Move everything from DuckDB's write-ahead log into its file, for an idle moment."""
        with self._used() as connection:
            connection.execute("CHECKPOINT")

    def rebuild(self) -> int:
        """Make the tables again from the journal; give the number of facts.

        The old tables go to `backups/`. StoreError when the journal's beginning is missing,
        because the tables then know more than it does.
        """
        with self._used() as connection:
            journal = self._journal
            if journal is None or self._directory is None:
                raise StoreError("a store in memory has no journal to be rebuilt from")
            position = projection.position(connection)
            rebuilding.build(self._directory, journal, position, rebuilding.no_progress)
            self._index.drop()
            connection.close()
            rebuilding.swap(self._directory)
            self._connection = open_database(self._directory, journal)
            return projection.position(self._connection)

    def check(self) -> Checked:
        """Say what of the journal can not be read, and whether the tables have all of it."""
        with self._used() as connection:
            return checking.check(connection, self._journal)

    def forget(self, job_id: str) -> Forgotten:
        """Remove the texts of a job for good and keep its numbers; also a second time.

        Prompts and answers beside the store are the caller's to delete. NotFound.
        """
        gone = self._write(erasing.decider(self._journal, self._directory, job_id))
        with self._used() as connection:
            if self._journal is None or self._directory is None:
                return gone
            erasing.erase(connection, self._journal, self._directory, gone)
            self._index.drop()
            connection.close()
            rebuilding.replace(self._directory)
            self._connection = open_database(self._directory, self._journal)
            self._copies().clear()
            erasing.finish(self._directory)
        return gone

    # -- one use --------------------------------------------------------------------------------

    @contextmanager
    def _used(self) -> Iterator[DuckDBPyConnection]:
        with self._lock, clear_errors(self._directory):
            if self._closed:
                raise StoreError("the trace store is closed")
            if self._behind and self._journal is not None:
                projection.catch_up(self._connection, self._journal)
                self._behind = False
            connection = self._connection
            try:
                yield connection
            except duckdb.Error as error:
                if self._connection is connection and self._directory and not self._closed:
                    self._heal(self._directory, error)
                raise

    def _heal(self, directory: Path, error: duckdb.Error) -> None:
        """Make damaged tables again from the journal, so that the next try finds them whole."""
        assert self._journal is not None
        if is_damage(error):
            rebuilding.build(directory, self._journal, 0, rebuilding.no_progress)
            with contextlib.suppress(duckdb.Error):
                self._connection.close()
            self._index.drop()
            rebuilding.swap(directory, "damaged")
        elif is_fatal(error):
            with contextlib.suppress(duckdb.Error):
                self._connection.close()
        else:
            return
        self._connection = open_database(directory, self._journal)
        self._behind = False
        raise StoreUnavailable(
            f"the tables of the trace store {directory} had to be opened or made again, they are"
            f" whole now: {str(error).splitlines()[0]}"
        ) from error

    def _write(self, decide: Callable[[Group], T]) -> T:
        with clear_errors(self._directory):
            return self._writers.write(decide)

    def _begin(self) -> Group:
        with self._used() as connection:
            sequence = projection.position(connection) + 1
            if self._journal is not None:
                sequence = self._journal.last + 1
            return Group(connection, Receipt(sequence=sequence, at=datetime.now(UTC)))

    def _commit(self, group: Group) -> None:
        """Journal first: from then on the facts are kept, whatever happens to the tables."""
        with self._used() as connection:
            texts = [(fact.kind, text) for fact, text in group.facts]
            first, at = group.first.sequence, group.first.at
            if self._journal is not None:
                self._journal.append(texts, at)
            noted = [Noted(first + i, at, fact) for i, (fact, _) in enumerate(group.facts)]
            self._behind = True
            projection.apply_or_skip(connection, noted)
            self._behind = False

    def _for_copy(self, copy: Callable[[DuckDBPyConnection, int], Path]) -> Path:
        with self._used() as connection:
            return copy(connection, projection.position(connection))

    def _recorded(self, record: JobRecord, group: Group) -> Recorded | None:
        job_id = record.job.job_id
        names = [job_id, forgotten_name(job_id)]
        found = self._connection.execute(RECORDED, [names]).fetchall()
        if not found:
            return None
        sequence, at = found[0][2:]
        return Recorded(
            job_id=record.job.job_id,
            stored=found[0][0],
            reason=found[0][1],
            curation_due=_curation_due(record, group.jobs_since_curation()),
            receipt=Receipt(sequence=sequence, at=at.replace(tzinfo=UTC)),
        )

    # -- places ---------------------------------------------------------------------------------

    def _copies(self) -> Snapshots:
        self._snapshots = self._snapshots or Snapshots(self._snapshot_folder())
        return self._snapshots

    def _snapshot_folder(self) -> Path:
        if self._directory:
            return self._directory / "snapshots"
        self._scratch = tempfile.TemporaryDirectory(prefix="crp-store-")
        return Path(self._scratch.name)

    def _let_go(self) -> None:
        if self._journal is not None:
            self._journal.close()
        if self._scratch is not None:
            self._scratch.cleanup()
        if self._owner is not None:
            self._owner.release()


def _curation_due(record: JobRecord, jobs: int) -> bool:
    return jobs >= record.job.config.curation_interval


RECORDED = """
SELECT stored, stored_reason, journal_sequence, recorded_at FROM jobs
WHERE list_contains(?, job_id) LIMIT 1
"""

ACTIVE = "SELECT count(*) FROM traces WHERE status = 'active'"
