"""Checking a store: what of the journal can be read, and whether the tables have all of it."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from crp.models import Wire
from crp_analytics import projection, segments, skipping
from crp_analytics.journal import Journal


class Checked(Wire):
    """What was found."""

    entries: int
    """That can be read."""
    segments: int
    bytes: int
    behind: int
    """Entries that are not in the tables; 0 in a store that is open."""
    skipped: tuple[str, ...] = ()
    """Facts that can not be read or mapped: the journal has them, the tables do not."""
    damage: tuple[str, ...] = ()
    """Each place in the journal that can not be read."""
    kept_aside: tuple[str, ...] = ()
    """Files with the bytes of such places, now or before a part was written anew."""

    @property
    def whole(self) -> bool:
        return not (self.damage or self.behind or self.skipped)


def check(connection: DuckDBPyConnection, journal: Journal | None) -> Checked:
    """Read the whole journal. Nothing is changed but that damaged places are kept aside."""
    skipped = skipping.told(connection)
    if journal is None:
        entries = projection.position(connection)
        return Checked(entries=entries, segments=0, bytes=0, behind=0, skipped=skipped)
    paths = segments.segments(journal.directory)
    entries = sum(1 for _ in journal.read())
    return Checked(
        entries=entries,
        segments=len(paths),
        bytes=sum(path.stat().st_size for path in paths),
        behind=max(journal.last - projection.position(connection), 0),
        skipped=skipped,
        damage=tuple(map(str, journal.damage)),
        kept_aside=tuple(map(str, segments.kept_aside(journal.directory))),
    )
