"""Group commit: writers that arrive while another one is at work are served together.

Stored: nothing; a writer waits in memory until its facts are in the journal. What must stay true: a
writer is answered after its facts are on disk, never before; a writer whose request is wrong gets
its own error and the others are served; later writers see what earlier ones decided, whether or
not it is in the tables yet (`Group`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import duckdb
from duckdb import DuckDBPyConnection

from crp.models import Receipt, Recorded
from crp_analytics import reading
from crp_analytics.facts import CurationFact, Fact, Noted, RetrievalFact
from crp_analytics.files import is_damage, is_unusable
from crp_analytics.journal import encode
from crp_analytics.known import Known
from crp_analytics.library import Library

T = TypeVar("T")

MANY = 20_000
"""Facts from which what was decided is not carried along any more, while writers never rest."""


class Mark(NamedTuple):
    """How much of everything a group had at one time."""

    facts: int
    jobs: int
    retrievals: int
    library: int
    since: int | None


class Group:
    """What was decided since the tables had all of it, by one group of writers or several.

    It lies on top of the tables, and says the same before and after its facts come into them,
    which may happen at any time.
    """

    def __init__(
        self,
        tables: Callable[[], DuckDBPyConnection],
        settled: Callable[[], DuckDBPyConnection],
        known: Known,
    ) -> None:
        self.facts: list[tuple[Fact, str]] = []
        """Those of the writers that are served now, each with its body as the journal writes it."""
        self.library = Library(tables, known)
        self.jobs: dict[str, Recorded] = {}
        self._decided = 0
        self.retrievals: dict[str, RetrievalFact] = {}
        self.known = known
        self._tables = tables
        self._settled = settled
        self.first: Receipt
        self._since: int | None = None

    @property
    def large(self) -> bool:
        """Whether so much was decided that it is time to begin another group."""
        return self._decided >= MANY

    @property
    def tables(self) -> DuckDBPyConnection:
        """The tables as last committed: what is decided here may be in them or not."""
        return self._tables()

    @property
    def connection(self) -> DuckDBPyConnection:
        """The tables with all that was acknowledged."""
        return self._settled()

    def begin(self, first: Receipt) -> None:
        """Serve the next writers: what their first fact gets; the others follow it."""
        self.first = first

    def jobs_since_curation(self) -> int:
        """Count the jobs since the last curation, those of this group included."""
        if self._since is None:
            self._since = reading.jobs_since_curation(self.tables)
        return self._since + len(self.jobs)

    def add(self, fact: Fact) -> Receipt:
        """Put a fact in and say where it will be kept.

        StoreError when it holds what JSON can not say, such as NaN.
        """
        sequence = self.first.sequence + len(self.facts)
        self.facts.append((fact, encode(fact.kind, fact)))
        if isinstance(fact, CurationFact):
            self._since = -len(self.jobs)
        return self.first.model_copy(update={"sequence": sequence})

    def add_job(self, said: Recorded) -> None:
        """Remember what was said about a job."""
        self.jobs[said.job_id] = said
        self.known.add(said.job_id)

    def kept(self) -> list[Noted]:
        """Give the facts, which are in the journal now, and make room for the next writers'."""
        first, facts = self.first, self.facts
        self.facts = []
        self._decided += len(facts)
        return [Noted(first.sequence + i, first.at, *fact) for i, fact in enumerate(facts)]

    def mark(self) -> Mark:
        """Give a point to go back to."""
        sizes = (len(self.facts), len(self.jobs), len(self.retrievals), self.library.mark())
        return Mark(*sizes, self._since)

    def back_to(self, mark: Mark) -> None:
        """Forget what was decided since the mark."""
        del self.facts[mark.facts :]
        for decided, size in ((self.jobs, mark.jobs), (self.retrievals, mark.retrievals)):
            while len(decided) > size:
                decided.popitem()
        self.library.back_to(mark.library)
        self._since = mark.since


class _Ticket:
    """One writer's request and what came of it."""

    def __init__(self, decide: Callable[[Group], Any]) -> None:
        self.decide = decide
        self.called = threading.Event()
        """Set when the request was served, or when this writer has to serve."""
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None


class Writers:
    """Serve writers in groups: one of them calls `commit` for all that wait.

    The others wait for their own event, not for the store's lock: it is free for the next group
    the moment this one is done.
    """

    def __init__(
        self,
        lock: threading.RLock,
        begin: Callable[[], Group],
        commit: Callable[[Group], None],
        mended: Callable[[duckdb.Error], bool],
    ) -> None:
        """`mended` says whether another try is worth it: nothing of the first was kept."""
        self._lock = lock
        self._begin = begin
        self._commit = commit
        self._mended = mended
        self._waiting: list[_Ticket] = []
        self._door = threading.Lock()
        self._serving = False

    def write(self, decide: Callable[[Group], T]) -> T:
        """Let `decide` add facts to a group, keep them, then give what it returned."""
        ticket = _Ticket(decide)
        with self._door:
            self._waiting.append(ticket)
            if not self._serving:
                self._serving = True
                ticket.called.set()
        ticket.called.wait()
        if not ticket.done:
            self._serve()
        if ticket.error is not None:
            raise ticket.error
        result: T = ticket.result
        return result

    def _serve(self) -> None:
        with self._lock:
            with self._door:
                tickets, self._waiting = self._waiting, []
            try:
                self._serve_all(tickets)
            finally:
                self._hand_over(tickets)

    def _serve_all(self, tickets: list[_Ticket]) -> None:
        try:
            try:
                self._keep_all(tickets)
            except duckdb.Error as error:
                if not self._mended(error):
                    raise
                self._keep_all(tickets)
        except BaseException as error:
            for ticket in tickets:
                ticket.error = ticket.error or error
            if not isinstance(error, Exception):
                raise

    def _keep_all(self, tickets: list[_Ticket]) -> None:
        group = self._begin()
        before = group.mark()
        try:
            for ticket in tickets:
                _decide(ticket, group)
            if group.facts:
                self._commit(group)
        except BaseException:
            group.back_to(before)
            raise

    def _hand_over(self, tickets: list[_Ticket]) -> None:
        """Wake the writers of this group, and the one that serves the next."""
        for ticket in tickets:
            ticket.done = True
            ticket.called.set()
        with self._door:
            self._serving = bool(self._waiting)
            if self._waiting:
                self._waiting[0].called.set()


def _decide(ticket: _Ticket, group: Group) -> None:
    before, ticket.error = group.mark(), None
    try:
        ticket.result = ticket.decide(group)
    except Exception as error:
        if is_damage(error) or is_unusable(error):
            raise  # it is nobody's fault, and can be mended for all of them
        ticket.error = error
        group.back_to(before)  # nothing is kept of a request that went wrong half-way
