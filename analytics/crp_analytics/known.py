"""Which ids the tables may have: most writes bring new ones, and need not ask them.

Stored: nothing; a bit for each id, made from the tables when a store is written to first. What must
stay true: an id that is in the tables is never called new. The reverse happens (two ids may share a
bit, a forgotten one keeps its own), and costs one look into the tables.
"""

from __future__ import annotations

from duckdb import DuckDBPyConnection

BITS = 1 << 27
"""16 MB, of which a small store touches little: one new id in 50 has to be looked up when there are
a million jobs with an entry each."""

AT_ONCE = 10_000


class Known:
    """The ids of jobs and library entries, and what tells identical entries."""

    def __init__(self) -> None:
        self._bits = bytearray(BITS // 8)

    @classmethod
    def of(cls, connection: DuckDBPyConnection) -> Known:
        """Take in what the tables have."""
        known = cls()
        with connection.cursor() as cursor:
            cursor.execute(ALL)
            while rows := cursor.fetchmany(AT_ONCE):
                for (name,) in rows:
                    known.add(name)
        return known

    def add(self, name: str) -> None:
        """Remember an id that will be in the tables."""
        place = hash(name) % BITS
        self._bits[place >> 3] |= 1 << (place & 7)

    def maybe(self, *names: str) -> bool:
        """Whether the tables may have one of these; False is sure."""
        places = (hash(name) % BITS for name in names)
        return any(self._bits[place >> 3] >> (place & 7) & 1 for place in places)


ALL = """
SELECT job_id FROM jobs
UNION ALL SELECT trace_id FROM traces
UNION ALL SELECT identity FROM traces WHERE identity IS NOT NULL
"""
