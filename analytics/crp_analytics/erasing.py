"""Forgetting a job on disk: what `forgetting` decided leaves every file of the store.

Stored meanwhile: `forgetting.json`, the ids that are being forgotten, so that a store that was
killed in the middle goes on when it is opened. Once it is gone, the journal, the tables, their
backups, the copies for queries and the saved index hold no byte of the texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from duckdb import DuckDBPyConnection
from pydantic import Field

from crp.blobs import write_durably
from crp.models import Wire
from crp_analytics import forgetting, rebuilding
from crp_analytics.facts import ForgetFact, from_entry
from crp_analytics.group import Group
from crp_analytics.journal import Journal
from crp_analytics.reading import place_of
from crp_analytics.text import forgotten_name, sha256

PENDING = "forgetting.json"


class Forgotten(Wire):
    """What was forgotten, and what else may quote it."""

    job_id: str
    name: str
    """What the job is called in the tables from now on."""
    names: dict[str, str] = Field(default_factory=dict)
    """New ids by old ones, of the job and its library entries."""
    blobs: tuple[str, ...] = ()
    """Texts to be deleted where prompts and answers lie."""
    shown_to: tuple[str, ...] = ()
    """Jobs that saw its library entries: what they answered is theirs."""


def pending(directory: Path | None) -> str:
    """Give the job whose forgetting was not finished; empty when there is none."""
    path = directory / PENDING if directory else None
    return str(json.loads(path.read_bytes())["job_id"]) if path and path.exists() else ""


def decider(
    journal: Journal | None, directory: Path | None, job_id: str
) -> Callable[[Group], Forgotten]:
    """Give what a group of writes has to do for a job to be forgotten."""

    def choose(group: Group) -> Forgotten:
        connection, name = group.connection, forgotten_name(job_id)
        if place_of(connection, name) is not None:
            fact = _past(journal, job_id)
            names = {job_id: name, **_noted_names(directory)}
            return Forgotten(job_id=job_id, name=name, names=names, blobs=fact.blobs)
        fact = forgetting.decide(connection, job_id)
        names = {job_id: name, **forgetting.names_of(connection, fact)}
        shown = connection.execute(SHOWN_TO, [list(names)]).fetchall()
        if directory:
            data = json.dumps({"job_id": job_id, "names": names}).encode()
            write_durably(directory / PENDING, data)
        group.add(fact)
        return Forgotten(
            job_id=job_id,
            name=name,
            names=names,
            blobs=fact.blobs,
            shown_to=tuple(other for (other,) in shown if other != job_id),
        )

    return choose


def erase(
    connection: DuckDBPyConnection, journal: Journal, directory: Path, gone: Forgotten
) -> None:
    """Take the texts out of the files. Afterwards `rebuilding.replace` and `finish` are due."""
    place = place_of(connection, gone.name)
    needles = [json.dumps(old)[1:-1].encode() for old in gone.names]
    needles.append(f'"seq":{place},'.encode())
    change = forgetting.changes(gone.names, frozenset(gone.blobs))
    journal.rewrite(change, lambda part: any(needle in part for needle in needles))
    rebuilding.copy(connection, directory)


def finish(directory: Path) -> None:
    """Delete the backups, whose rows hold the texts, and the note that this is under way."""
    for backup in (directory / "backups").glob("*"):
        backup.unlink()
    (directory / PENDING).unlink(missing_ok=True)


def _noted_names(directory: Path | None) -> dict[str, str]:
    path = directory / PENDING if directory else None
    if path is None or not path.exists():
        return {}
    names: dict[str, str] = json.loads(path.read_bytes())["names"]
    return names


def _past(journal: Journal | None, job_id: str) -> ForgetFact:
    """The fact of an earlier time: whoever was stopped in the middle goes on with it."""
    digest = sha256(job_id)
    for entry in journal.read() if journal else ():
        if entry.kind == ForgetFact.kind and entry.body.get("job") == digest:
            fact = from_entry(entry).fact
            assert isinstance(fact, ForgetFact)
            return fact
    return ForgetFact(job=digest)


SHOWN_TO = """
SELECT DISTINCT job_id FROM retrievals
WHERE shown AND trace_id IN (SELECT unnest(?::VARCHAR[])) ORDER BY ALL
"""
