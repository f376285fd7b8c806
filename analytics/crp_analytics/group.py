"""Group commit: writers that arrive while another one is at work are served together.

Stored: nothing; a writer waits in memory until its facts are in the journal and in the tables.
What must stay true: a writer is answered after its facts are on disk, never before; a writer whose
request is wrong gets its own error and the others are served; within a group, later writers see
what earlier ones decided (`Group`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from duckdb import DuckDBPyConnection

from crp.errors import CRPError
from crp.models import Receipt, Recorded
from crp_analytics import reading
from crp_analytics.facts import Fact, RetrievalFact
from crp_analytics.journal import encode
from crp_analytics.library import Library

T = TypeVar("T")


class Group:
    """The facts of one group of writers, and what they decided so far."""

    def __init__(self, connection: DuckDBPyConnection, first: Receipt) -> None:
        self.first = first
        """What the first fact gets; the others follow it."""
        self.facts: list[tuple[Fact, str]] = []
        """Each with its body as the journal writes it."""
        self.library = Library(connection)
        self.jobs: dict[str, Recorded] = {}
        self.retrievals: dict[str, RetrievalFact] = {}
        self.connection = connection
        self._since: int | None = None

    def jobs_since_curation(self) -> int:
        """Count the jobs since the last curation, those of this group included."""
        if self._since is None:  # once a group: the count is the same for all of it
            self._since = reading.jobs_since_curation(self.connection)
        return self._since + len(self.jobs)

    def add(self, fact: Fact) -> Receipt:
        """Put a fact in and say where it will be kept.

        StoreError when it holds what JSON can not say, such as NaN.
        """
        sequence = self.first.sequence + len(self.facts)
        self.facts.append((fact, encode(fact.kind, fact.model_dump(mode="json"))))
        return self.first.model_copy(update={"sequence": sequence})


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
        self, lock: threading.RLock, begin: Callable[[], Group], commit: Callable[[Group], None]
    ) -> None:
        self._lock = lock
        self._begin = begin
        self._commit = commit
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
            group = self._begin()
            for ticket in tickets:
                _decide(ticket, group)
            if group.facts:
                self._commit(group)
        except BaseException as error:
            for ticket in tickets:
                ticket.error = ticket.error or error
            if not isinstance(error, Exception):
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
    facts, library = len(group.facts), group.library.mark()
    try:
        ticket.result = ticket.decide(group)
    except CRPError as error:
        ticket.error = error
        del group.facts[facts:]  # nothing is kept of a request that went wrong half-way
        group.library.back_to(library)
