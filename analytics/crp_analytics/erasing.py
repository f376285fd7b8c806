"""Forgetting a job on disk: what `forgetting` decided leaves every file of the store.

Stored meanwhile: `forgetting/SHA256.json`, one for each job that is being forgotten, with its ids,
so that a store that was stopped in the middle goes on when it is opened. Once it is gone, the
journal, the tables, their backups, the copies for queries and the saved index hold no byte of the
texts. A note whose fact is not in the journal says nothing: that forgetting was refused.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from duckdb import DuckDBPyConnection
from pydantic import Field

from crp.blobs import write_durably
from crp.models import Wire
from crp_analytics import forgetting, rebuilding
from crp_analytics.facts import ForgetFact, JobFact, RetrievalFact, from_entry
from crp_analytics.group import Group
from crp_analytics.journal import Journal
from crp_analytics.reading import place_of
from crp_analytics.text import forgotten_name, name_of, sha256

NOTES = "forgetting"

_log = logging.getLogger(__name__)


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
    sequence: int = 0
    """Where the journal says that it was forgotten: later entries have their texts by right."""


def pending(directory: Path | None, connection: DuckDBPyConnection) -> list[str]:
    """Give the jobs whose forgetting was not finished; what was refused is dropped."""
    jobs = []
    for path in sorted((directory / NOTES).glob("*")) if directory else ():
        try:
            job_id = str(json.loads(path.read_bytes())["job_id"])
        except (KeyError, TypeError, ValueError):
            _log.warning("%s is not what was written there: it is dropped", path)
            job_id = ""
        if job_id and connection.execute(FORGOTTEN, [forgotten_name(job_id)]).fetchall():
            jobs.append(job_id)
        else:
            path.unlink()
    return jobs


def decider(
    journal: Journal | None, directory: Path | None, job_id: str
) -> Callable[[Group], Forgotten]:
    """Give what a group of writes has to do for a job to be forgotten."""

    def choose(group: Group) -> Forgotten:
        connection, name = group.connection, forgotten_name(job_id)
        if place_of(connection, name) is not None:
            fact, sequence = _past(journal, job_id)
            names = {job_id: name, **_noted_names(directory, job_id)}
        else:
            fact = forgetting.decide(connection, job_id, _jobs_in(group))
            names = {job_id: name, **forgetting.names_of(connection, fact)}
            if directory:
                data = json.dumps({"job_id": job_id, "names": names}).encode()
                write_durably(_note(directory, job_id), data)
            sequence = group.add(fact).sequence
            group.library.forget(names)
        ids = {*names, *names.values(), *map(name_of, fact.traces)}
        return Forgotten(
            job_id=job_id,
            name=name,
            names=names,
            blobs=fact.blobs,
            shown_to=tuple(sorted(_shown_to(group, ids) - {job_id, name})),
            sequence=sequence,
        )

    return choose


def erase(
    connection: DuckDBPyConnection, journal: Journal, directory: Path, gone: Forgotten
) -> None:
    """Take the texts out of the files. Afterwards `rebuilding.replace` and `finish` are due."""
    place = place_of(connection, gone.name)
    needles = [json.dumps(old)[1:-1].encode() for old in gone.names]
    needles.append(f'"seq":{place},'.encode())
    change = forgetting.changes(gone.names, frozenset(gone.blobs), gone.sequence)
    journal.rewrite(change, lambda part: any(needle in part for needle in needles))
    forgetting.rename(connection, gone.names)  # also what was decided while it was forgotten
    rebuilding.copy(connection, directory)


def finish(directory: Path, job_id: str) -> None:
    """Delete the backups, whose rows hold the texts, and the note that this is under way."""
    for backup in (directory / "backups").glob("*"):
        backup.unlink()
    _note(directory, job_id).unlink(missing_ok=True)


def _note(directory: Path, job_id: str) -> Path:
    return directory / NOTES / f"{sha256(job_id)}.json"


def _noted_names(directory: Path | None, job_id: str) -> dict[str, str]:
    path = _note(directory, job_id) if directory else None
    if path is None or not path.exists():
        return {}
    names: dict[str, str] = json.loads(path.read_bytes())["names"]
    return names


def _jobs_in(group: Group) -> list[JobFact]:
    """Jobs that writers before this one brought: the tables do not have them yet."""
    return [fact for fact, _ in group.facts if isinstance(fact, JobFact)]


def _shown_to(group: Group, ids: Iterable[str]) -> set[str]:
    found = group.tables.execute(SHOWN_TO, [list(ids)]).fetchall()
    asked = (fact for fact, _ in group.facts if isinstance(fact, RetrievalFact))
    return {job_id for (job_id,) in found} | {
        fact.job_id
        for fact in asked
        if not fact.held_out and not {offer.trace_id for offer in fact.offers}.isdisjoint(ids)
    }


def _past(journal: Journal | None, job_id: str) -> tuple[ForgetFact, int]:
    """The fact of an earlier time: whoever was stopped in the middle goes on with it."""
    digest = sha256(job_id)
    for entry in journal.read() if journal else ():
        if entry.kind == ForgetFact.kind and entry.body.get("job") == digest:
            fact = from_entry(entry).fact
            assert isinstance(fact, ForgetFact)
            return fact, entry.sequence
    return ForgetFact(job=digest), 0


FORGOTTEN = """
SELECT 1 FROM jobs WHERE job_id = $1 UNION ALL SELECT 1 FROM skipped WHERE job_id = $1 LIMIT 1
"""

SHOWN_TO = """
SELECT DISTINCT job_id FROM retrievals
WHERE shown AND trace_id IN (SELECT unnest(?::VARCHAR[]))
"""
