"""The retrieval index: every library trace in memory, by task type, model class and words.

It follows the `traces` table by `changed_sequence`, the journal entry that changed a row last: what
is above its position is new to it. So all changes reach it in one way, and an index that was saved
long ago is topped up like one that was used a moment ago. It writes nothing; `index_file` saves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
        self.shelves: dict[tuple[str, str], Shelf] = {}

    def __len__(self) -> int:
        return sum(map(len, self.shelves.values()))

    @property
    def active(self) -> int:
        """The number of traces that are not retired."""
        return sum(shelf.active for shelf in self.shelves.values())

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
        self._shelf(task_type, model_class).add(sequence, numbers, quality, created)
        self.changes += 1

    def change(self, sequence: int, task_type: str, model_class: str, quality: float) -> None:
        """Give a trace another quality: RETIRED takes it out of every search."""
        self._shelf(task_type, model_class).change(sequence, quality)
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
                self.change(sequence, task_type, model_class, rating)
            else:
                self.add(sequence, task_type, model_class, summary, rating, created)
        self.position = position

    def search(
        self, wanted: Iterable[str], task_type: str, model_class: str, least: float, count: int
    ) -> Found:
        """Find the best traces for the words of a task, in the order of the specification.

        Same type and class first, then same type, then same class: when the first tier has
        enough, the others are left alone.
        """
        task = list(wanted)
        known = [self.vocabulary[word] for word in task if word in self.vocabulary]
        few = len(self) <= FEW
        hits: list[Hit] = []
        candidates = 0
        if count < 1 or not known:
            return Found(hits, candidates, True)
        for tier in self._tiers(task_type, model_class):
            if len(hits) >= count and not few:
                return Found(hits, candidates, False)
            results = [shelf.search(known, len(task), least, count) for shelf in tier]
            candidates += sum(alike for _, alike in results)
            if len(hits) < count:
                hits += best([hit for some, _ in results for hit in some], count - len(hits))
        return Found(hits, candidates, True)

    def _shelf(self, task_type: str, model_class: str) -> Shelf:
        shelf = self.shelves.get((task_type, model_class))
        if shelf is None:
            shelf = self.shelves[task_type, model_class] = Shelf()
        return shelf

    def _tiers(self, task_type: str, model_class: str) -> list[list[Shelf]]:
        tiers: list[list[Shelf]] = [[], [], [], []]
        for (its_type, its_class), shelf in self.shelves.items():
            tiers[2 * (its_type != task_type) + (its_class != model_class)].append(shelf)
        return [tier for tier in tiers if tier]


Changed = tuple[int, str, str, float, float, bool, str | None]


def _changed(connection: DuckDBPyConnection, position: int) -> Iterator[Changed]:
    """What has changed since, oldest trace first; a trace that was known has no summary."""
    with connection.cursor() as cursor:
        cursor.execute(CHANGED, {"position": position})
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield from rows


POSITION = "SELECT sequence FROM journal_position"

CHANGED = """
SELECT journal_sequence, task_type, model_class, quality_score, created_unix, status = 'active',
       CASE WHEN journal_sequence > $position THEN task_summary END
FROM traces WHERE changed_sequence > $position
ORDER BY journal_sequence
"""
