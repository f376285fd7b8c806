"""DBOS with SQLite as it comes: durable steps in this process, rollback journal, full sync."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path

from common import STEPS, arguments, measure, note


def main(*, tuned: bool = False) -> None:
    given = arguments("dbos")
    from dbos import DBOS, DBOSConfig

    file = given.folder / "dbos.sqlite"
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": f"sqlite:///{file}",
        "log_level": "ERROR",
        "run_admin_server": False,  # type: ignore[typeddict-unknown-key]
    }
    if tuned:
        config["system_database_engine"] = _tuned(file)
    DBOS(config=config)

    @DBOS.step()
    async def step(job: int, number: int, before: str) -> str:
        return note(job, number)

    @DBOS.workflow()
    async def sequence(job: int) -> list[str]:
        answers: list[str] = []
        for number in range(1, STEPS + 1):
            answers.append(await step(job, number, answers[-1] if answers else ""))
        return answers

    @DBOS.workflow()
    async def parallel(job: int) -> list[str]:
        return list(await asyncio.gather(*(step(job, n, "") for n in range(1, STEPS + 1))))

    workflow = parallel if given.shape == "parallel" else sequence

    async def job(number: int) -> None:
        handle = await DBOS.start_workflow_async(workflow, number)
        assert len(await handle.get_result()) == STEPS

    async def run() -> None:
        DBOS.launch()
        try:
            await measure(given, job)
        finally:
            DBOS.destroy(workflow_completion_timeout_sec=0)

    asyncio.run(run())


def _tuned(file: Path):  # type: ignore[no-untyped-def]
    """An engine with the settings that our own server's database has."""
    import sqlalchemy as sa

    engine = sa.create_engine(f"sqlite:///{file}")

    @sa.event.listens_for(engine, "connect")
    def _set(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=wal", "synchronous=normal", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


if __name__ == "__main__":
    main(tuned="tuned" in sys.argv[0])
