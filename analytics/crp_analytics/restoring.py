"""Filling a journal's gaps from what Temporal's histories know of the store's decisions.

Every decision of the store went to the workflow that asked, with its place in the journal. So an
entry that the journal lost can be put back exactly where it was; what the journal has wins. What
people did by hand (scores, traces that they added or moved) is in no workflow's history.

Touches the store's directory, which nobody else may own meanwhile.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from crp.models import JobRecord, Receipt, Wire
from crp_analytics import rebuilding
from crp_analytics.blanking import without_entries
from crp_analytics.entries import line_of
from crp_analytics.facts import CurationFact, Fact, ForgetFact, JobFact, RetrievalFact, from_entry
from crp_analytics.journal import Journal, encode
from crp_analytics.rebuilding import Progress, no_progress
from crp_analytics.store import TraceStore
from crp_analytics.text import forgotten_name, sha256


class Found(NamedTuple):
    """A decision as a history tells it."""

    fact: JobFact | RetrievalFact | CurationFact
    receipt: Receipt | None
    """None: the history does not say what came of it, such as when its worker was killed."""
    again: bool = False
    """The job had been recorded before; the first record is the one that counts."""


class Restored(Wire):
    """What came of it."""

    filled: int
    """Entries that the journal did not have."""
    recorded: int
    """Jobs whose place was not known: they come last."""
    facts: int
    """All that the new tables were made from."""


class Restoring:
    """Collects decisions on disk, because all jobs of a store do not fit into memory."""

    def __init__(self, directory: Path, journal: Journal, spool: IO[bytes]) -> None:
        self._directory = directory
        self._journal = journal
        self._places: dict[int, tuple[int, int]] = {}
        self._sure: set[int] = set()
        self._late: list[JobRecord] = []
        self._spool = spool
        self._forgotten = _forgotten(journal)

    def add(self, found: Found) -> None:
        """Take a decision in."""
        receipt = found.receipt
        if receipt is None:
            if isinstance(found.fact, JobFact):
                self._late.append(found.fact.record)
            return
        if receipt.sequence in self._sure or self._is_forgotten(found.fact):
            return
        if not found.again:
            self._sure.add(receipt.sequence)
        line = line_of(receipt.sequence, receipt.at, found.fact.kind, self._body(found.fact))
        self._places[receipt.sequence] = (self._spool.seek(0, 2), len(line))
        self._spool.write(line)

    def rebuild(self, progress: Progress = no_progress, lossy: bool = False) -> tuple[int, int]:
        """Fill the journal and make the tables again; give how many entries and facts."""
        known = rebuilding.known(self._directory)
        filled = self._journal.fill(self._places, self._line)
        facts = rebuilding.build(self._directory, self._journal, known, progress, lossy)
        rebuilding.swap(self._directory)
        return filled, facts

    @property
    def late(self) -> list[JobRecord]:
        """Jobs whose place in the journal no history tells."""
        return self._late

    def _line(self, sequence: int) -> bytes:
        offset, size = self._places[sequence]
        self._spool.seek(offset)
        return self._spool.read(size)

    def _is_forgotten(self, fact: Fact) -> bool:
        return isinstance(fact, JobFact) and sha256(fact.record.job.job_id) in self._forgotten

    def _body(self, fact: JobFact | RetrievalFact | CurationFact) -> str:
        """What a history says of library entries that were forgotten is not taken over."""
        names = {i: forgotten_name(i) for i in _ids(fact) if sha256(i) in self._forgotten}
        body = fact.model_dump(mode="json")
        return encode(fact.kind, without_entries(body, names) if names else body)


@contextmanager
def restoring(directory: Path) -> Iterator[Restoring]:
    """Own a store that is to be made again from histories. StoreError when somebody owns it."""
    with (
        rebuilding.owned(directory) as journal,
        tempfile.TemporaryFile(dir=directory) as spool,
    ):
        yield Restoring(directory, journal, spool)


def record_late(directory: Path, late: list[JobRecord]) -> int:
    """Record the jobs that have no place; give how many the store did not know."""
    if not late:
        return 0
    with TraceStore.open(directory) as store:
        return sum(not store.record(record).duplicate for record in late)


def _forgotten(journal: Journal) -> frozenset[str]:
    found: set[str] = set()
    for entry in journal.read():
        if entry.kind == ForgetFact.kind:
            fact = from_entry(entry).fact
            assert isinstance(fact, ForgetFact)
            found |= {fact.job, *fact.traces}
    return frozenset(found)


def _ids(fact: JobFact | RetrievalFact | CurationFact) -> set[str]:
    if isinstance(fact, RetrievalFact):
        return {fact.job_id, *(offer.trace_id for offer in fact.offers)}
    if isinstance(fact, CurationFact):
        return {retired.trace_id for retired in fact.retired}
    retrieved = fact.record.retrieved
    return {e.trace.trace_id for e in retrieved.examples} | {o.trace_id for o in retrieved.offers}
