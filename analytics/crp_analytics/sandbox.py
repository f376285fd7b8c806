"""The child process in which an analyst's query runs: `python -m crp_analytics.sandbox`.

It reads one JSON request from standard input, `{database, query, row_cap, memory_mb, seconds}`,
and writes one JSON answer to standard output: `{columns, types, rows, truncated}` or `{error}`.
What must stay true: the query reaches nothing but the copy of the store that it is given. DuckDB
is told so first (no external access, no extensions, locked), and then the operating system is (no
file or socket may be opened, none may grow, no more memory than allowed), because DuckDB's own
memory limit does not bound one big value. It imports next to nothing, so that it starts fast.
"""

from __future__ import annotations

import json
import math
import sys
import threading
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from types import ModuleType
from typing import Any
from uuid import UUID

import duckdb

READS = frozenset({"SELECT", "EXPLAIN", "MULTI"})
"""Statement types that may run; MULTI is what PIVOT becomes. The copy is read-only anyway."""

OUTPUT_BYTES = 32 * 1024 * 1024
"""An answer may not be larger."""

BATCH = 500


class Refused(Exception):
    """The query may not run, in words for the analyst."""


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    stand_in_for_pytz()
    try:
        answer = run(request)
    except Refused as error:
        answer = {"error": str(error)}
    except (duckdb.OutOfMemoryException, MemoryError):
        answer = {"error": f"the query needs more than {request['memory_mb']} MB of memory"}
    except duckdb.InterruptException:
        answer = {"error": f"the query took longer than {request['seconds']:g} s and was stopped"}
    except duckdb.Error as error:
        answer = {"error": _first_line(error)}
    json.dump(answer, sys.stdout)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run one query on a locked-down connection and give its first rows."""
    statement = only_statement(request["query"])
    connection = locked_down(request["database"], request["memory_mb"])
    limit_process(request["memory_mb"], request["seconds"])
    clock = threading.Timer(request["seconds"], connection.interrupt)
    clock.daemon = True
    clock.start()
    result = connection.execute(statement)
    rows, truncated = _first_rows(result, request["row_cap"])
    description = result.description or []
    return {
        "columns": [column[0] for column in description],
        "types": [str(column[1]) for column in description],
        "rows": rows,
        "truncated": truncated,
    }


def only_statement(query: str) -> Any:
    """Give the query's one statement, or refuse it when it is not one that reads."""
    statements = duckdb.extract_statements(query)
    if not statements:
        raise Refused("there is no query")
    if len(statements) > 1:
        raise Refused(f"one query at a time: these are {len(statements)}")
    kind = _kind(statements[0])
    if kind not in READS:
        raise Refused(f"{kind} is refused: only queries run here, jobs alone change the store")
    return statements[0]


def _kind(statement: Any) -> str:
    try:
        return str(statement.type.name)
    except ValueError:  # newer than what the Python package knows
        return "this kind of statement"


def locked_down(database: str, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """Open a copy of the store so that SQL reaches nothing else."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{max(memory_mb * 7 // 10, 32)}MB",
        "threads": "2",
        "temp_directory": "",
    }
    connection = duckdb.connect(database, read_only=True, config=config)
    for setting in LOCK_DOWN:
        connection.execute(f"SET {setting}")
    return connection


def limit_process(memory_mb: int, seconds: float) -> None:
    """Let the operating system hold what DuckDB may not: memory, files, time."""
    try:
        import resource
    except ImportError:  # Windows: the parent's time limit is left
        return
    memory = _address_space() + memory_mb * 1024 * 1024
    cpu = math.ceil(seconds) * 2 + 2  # a net under the parent's clock, two threads
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NOFILE, 0),  # what is open stays open
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu),
    ):
        resource.setrlimit(limit, (value, value))


def _address_space() -> int:
    """What the process has reserved already: 0.7 GB of it are DuckDB's and never touched."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * 4096
    except OSError:
        return 1024**3


def _first_rows(result: Any, cap: int) -> tuple[list[list[Any]], bool]:
    rows: list[list[Any]] = []
    size = 0
    while len(rows) <= cap and (batch := result.fetchmany(min(BATCH, cap + 1 - len(rows)))):
        more = [[plain(value) for value in row] for row in batch]
        size += len(json.dumps(more))
        if size > OUTPUT_BYTES:
            megabytes = OUTPUT_BYTES // 1024**2
            raise Refused(f"the result is larger than {megabytes} MB: select less")
        rows.extend(more)
    return rows[:cap], len(rows) > cap


def plain(value: Any) -> Any:
    """Give a value as JSON has it: times as ISO strings, bytes as hex, NaN as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Decimal | UUID):
        return str(value)
    return str(value)


class Utc(tzinfo):
    """UTC with the one method of pytz that DuckDB calls."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta()

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, moment: datetime | None) -> str:
        return "UTC"

    def localize(self, moment: datetime) -> datetime:
        return moment.replace(tzinfo=UTC)


def stand_in_for_pytz() -> None:
    """Let `now()` be fetched: DuckDB wants pytz for times with a zone. All times here are UTC."""
    pytz: Any = ModuleType("pytz")
    pytz.utc = Utc()
    pytz.timezone = lambda name: pytz.utc
    sys.modules.setdefault("pytz", pytz)


def _first_line(error: Exception) -> str:
    """DuckDB's own first line, and where it points at."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


LOCK_DOWN = (
    "enable_external_access = false",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "allow_community_extensions = false",
    "allow_persistent_secrets = false",
    "python_enable_replacements = false",
    "TimeZone = 'UTC'",
    "lock_configuration = true",
)

if __name__ == "__main__":
    main()
