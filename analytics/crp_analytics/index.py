"""The retrieval index: every library trace in memory, by task type and words.

It follows the `traces` table by `changed_sequence`, the journal entry that changed a row last: what
is above its position is new to it. So all changes reach it in one way, and an index that was saved
long ago is topped up like one that was used a moment ago. It writes nothing; `index_file` saves it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import fsum
from typing import NamedTuple

from duckdb import DuckDBPyConnection

from crp_analytics.shelf import RETIRED, Hit, Shelf, best
from crp_analytics.words import words

FEW = 20_000
"""Up to so many traces, all that resemble a task are counted, not only those that may be best."""

ROWS_AT_ONCE = 10_000


class Found(NamedTuple):
    """The best traces, those that only their ids can rank included."""

    hits: list[Hit]
    candidates: int
    complete: bool
    """Whether `candidates` are all that there are: else the search could end before."""


class Index:
    """Traces by their words; up to which journal entry is its position."""

    def __init__(self) -> None:
        self.position = 0
        self.changes = 0
        """Rows that were added or changed since it was made or loaded."""
        self.vocabulary: dict[str, int] = {}
        self.shelves: defaultdict[str, Shelf] = defaultdict(Shelf)
        """By task type."""

    def __len__(self) -> int:
        return sum(map(len, self.shelves.values()))

    @property
    def active(self) -> int:
        """The number of traces that may be found."""
        return sum(shelf.active for shelf in self.shelves.values())

    @property
    def quality(self) -> float:
        """The sum of their quality."""
        return fsum(
            quality
            for shelf in self.shelves.values()
            for quality in shelf.quality
            if quality != RETIRED
        )

    def add(
        self,
        sequence: int,
        task_type: str,
        model_class: str,
        summary: str,
        quality: float,
        created: float,
    ) -> None:
        """Put one trace in; its sequence must be above all that are there."""
        numbers = [self.vocabulary.setdefault(w, len(self.vocabulary)) for w in words(summary)]
        self.shelves[task_type].add(sequence, numbers, model_class, quality, created)
        self.changes += 1

    def change(self, sequence: int, task_type: str, quality: float) -> None:
        """Give a trace another quality: RETIRED takes it out of every search."""
        self.shelves[task_type].change(sequence, quality)
        self.changes += 1

    def follow(self, connection: DuckDBPyConnection) -> None:
        """Take in what has changed in the tables since."""
        position = int(connection.execute(POSITION).fetchall()[0][0])
        if position == self.position:
            return
        for sequence, task_type, model_class, quality, created, active, summary in _changed(
            connection, self.position
        ):
            rating = quality if active else RETIRED
            if summary is None:
                self.change(sequence, task_type, rating)
            else:
                self.add(sequence, task_type, model_class, summary, rating, created)
        self.position = position

    def search(
        self, wanted: Iterable[str], task_type: str, model_class: str, least: float, count: int
    ) -> Found:
        """Find the best traces for the words of a task, in the order of the specification.

        Same type first, then same class: when the task's own type has enough, the others are left
        alone.
        """
        task = list(wanted)
        known = [self.vocabulary[word] for word in task if word in self.vocabulary]
        few = len(self) <= FEW
        hits: list[Hit] = []
        candidates = 0
        if count < 1 or not known:
            return Found(hits, candidates, True)
        for tier in self._tiers(task_type):
            if len(hits) >= count and not few:
                return Found(hits, candidates, False)
            results = [shelf.search(known, len(task), model_class, least, count) for shelf in tier]
            candidates += sum(alike for _, alike in results)
            if len(hits) < count:
                hits += best([hit for some, _ in results for hit in some], count - len(hits))
        return Found(hits, candidates, True)

    def _tiers(self, task_type: str) -> list[list[Shelf]]:
        own = [shelf for its_type, shelf in self.shelves.items() if its_type == task_type]
        others = [shelf for its_type, shelf in self.shelves.items() if its_type != task_type]
        return [tier for tier in (own, others) if tier]


Changed = tuple[int, str, str, float, float, bool, str | None]


def _changed(connection: DuckDBPyConnection, position: int) -> Iterator[Changed]:
    """What has changed since, oldest trace first; a trace that was known has no summary."""
    with connection.cursor() as cursor:
        cursor.execute(CHANGED, {"position": position})
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield from rows


POSITION = "SELECT sequence FROM journal_position"

CHANGED = """
SELECT journal_sequence, task_type, model_class, quality_score, created_unix,
       status = 'active' AND word_count > 0, -- a forgotten trace has no words, whatever it had
       CASE WHEN journal_sequence > $position THEN task_summary END
FROM traces WHERE changed_sequence > $position
ORDER BY journal_sequence
"""
