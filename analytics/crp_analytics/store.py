"""The trace store: one owner, a journal that is the truth, DuckDB tables that are made from it.

Stored, in one directory: `journal/` (every fact, see `journal` and `facts`), `traces.duckdb` (the
tables, see migrations/), `backups/` (the tables as they were before a migration or a rebuild),
`snapshots/` (copies for queries), `retrieval.index` (see `index_file`), `owner.lock`.
A job is identified by its job_id, a trace by its trace_id, a fact by its journal sequence.
What must stay true: what was acknowledged is in the journal; the tables are the facts of the
journal up to `journal_position`, each once; whoever reads sees all that was acknowledged; nobody
but the owner opens `traces.duckdb`.

A store may be shared by threads: `tables` has the locks and groups the writers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb

from crp.errors import QueryError, UsageError
from crp.models import (
    CurationReport,
    JobRecord,
    MetaLearningConfig,
    ReasoningTrace,
    Receipt,
    Recorded,
    Retrieved,
)
from crp_analytics import curation, forgetting, reading, retrieval, sql
from crp_analytics.checking import Checked
from crp_analytics.desk import Desk
from crp_analytics.erasing import Forgotten
from crp_analytics.facts import JobFact, from_entry
from crp_analytics.files import DAMAGED
from crp_analytics.group import Group
from crp_analytics.journal import Damage, Journal
from crp_analytics.publish import Published, publish
from crp_analytics.retrieval import Request
from crp_analytics.scoring import Scored
from crp_analytics.sql import Table
from crp_analytics.tables import Tables
from crp_analytics.text import forgotten_name

T = TypeVar("T")


class TraceStore:
    """Record jobs, retrieve examples, curate the library, answer SQL."""

    def __init__(self, directory: Path | None) -> None:
        """Use `TraceStore.open(directory)` or `TraceStore.in_memory()`."""
        self._tables = Tables(directory)
        self._used, self._write = self._tables.used, self._tables.write
        self.desk = Desk(self._write, self._used, self.record_of)
        """What people do to the library."""

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
        self._tables.close()

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

    @property
    def _journal(self) -> Journal | None:
        return self._tables.journal

    # -- jobs ---------------------------------------------------------------------------------

    def record(self, record: JobRecord) -> Recorded:
        """Keep a finished job, whatever its end; recording it again changes nothing.

        StoreUnavailable when the disk is full: it may be tried again.
        """
        return self.record_all([record])[0]

    def record_all(self, records: Sequence[JobRecord]) -> list[Recorded]:
        """Keep several finished jobs in one write, all or none of them. StoreUnavailable."""
        return self._write(lambda group: [self._keep(record, group) for record in records])

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
            fact = fact or reading.past_retrieval(group.connection, job_id)
            if fact is None:
                connection = group.connection
                fact = retrieval.find(connection, self._tables.index.now(connection), request)
                fact = fact.model_copy(update={"receipt": group.add(fact)})
                group.retrievals[job_id] = fact
            ids = [offer.trace_id for offer in fact.offers]
            return retrieval.shown(fact, reading.traces_by_id(group.connection, ids))

        return self._write(decide)

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
        return self._from_copy(lambda file: sql.run(file, query, row_cap, seconds, memory_mb))

    def publish(
        self, folder: Path, *, with_texts: bool = False, parquet: bool = False
    ) -> Published:
        """Write a snapshot that other programs open; without texts unless they are asked for.

        UsageError for a folder of the store's own, StoreError when it can not be written.
        """
        own = self._tables.directory
        if own and folder.resolve().is_relative_to(own.resolve()):
            raise UsageError(f"{folder} belongs to the trace store: publish somewhere else")
        return self._from_copy(
            lambda file: publish(file, folder, with_texts=with_texts, parquet=parquet)
        )

    def _from_copy(self, read: Callable[[Path], T]) -> T:
        """Read a copy; when it is damaged, the tables are mended and a new one is read."""
        try:
            with self.copy() as database:
                return read(database)
        except (QueryError, duckdb.Error) as error:
            if DAMAGED not in str(error):
                raise
        self._tables.mend_what_is_copied()
        with self.copy() as database:
            return read(database)

    def copy(self) -> AbstractContextManager[Path]:
        """Give a database file with everything recorded up to now, for as long as the block runs.

        Nobody changes it meanwhile, and the store is free.
        """
        return self._tables.copy()

    # -- upkeep -------------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Move everything from DuckDB's write-ahead log into its file, for an idle moment."""
        with self._used() as connection:
            connection.execute("CHECKPOINT")

    def rebuild(self) -> int:
        """Make the tables again from the journal; give the number of facts.

        The old tables go to `backups/`. StoreError when they know more than the journal does.
        """
        return self._tables.rebuild()

    def check(self) -> Checked:
        """Say what of the journal can not be read, and whether the tables have all of it."""
        return self._tables.check()

    def forget(self, job_id: str) -> Forgotten:
        """Remove the texts of a job for good and keep its numbers; also a second time.

        Prompts and answers beside the store are the caller's to delete. NotFound.
        """
        return self._tables.forget(job_id)

    def _keep(self, record: JobRecord, group: Group) -> Recorded:
        job_id = record.job.job_id
        before = group.jobs.get(job_id) or self._recorded(record, group)
        if before:
            return before.model_copy(update={"duplicate": True})
        record = forgetting.without_forgotten(record, group.library)
        refusal = group.library.refusal(record)
        reason = refusal or "a good example: it entered the library"
        receipt = group.add(JobFact(record=record, stored=not refusal, reason=reason))
        if not refusal and record.trace:
            group.library.add(record.trace, job_id)
        said = Recorded(
            job_id=job_id,
            stored=not refusal,
            reason=reason,
            curation_due=_curation_due(record, group.jobs_since_curation() + 1),
            receipt=receipt,
        )
        group.add_job(said)
        return said

    def _recorded(self, record: JobRecord, group: Group) -> Recorded | None:
        job_id = record.job.job_id
        names = [job_id, forgotten_name(job_id)]
        if not group.known.maybe(*names):
            return None
        found = group.tables.execute(RECORDED, [names]).fetchall()
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


def _curation_due(record: JobRecord, jobs: int) -> bool:
    return jobs >= record.job.config.curation_interval


RECORDED = """
SELECT stored, stored_reason, journal_sequence, recorded_at FROM jobs
WHERE list_contains(?, job_id) LIMIT 1
"""

ACTIVE = "SELECT count(*) FROM traces WHERE status = 'active'"
