"""Publish the store: a file that other programs open, and Parquet files on request.

Stored, in a folder of the user's: `snapshot.duckdb` with all tables and views, in the format of
DuckDB 1.4, which 1.5 and 2.0 read as well; `parquet/TABLE.parquet` when it is asked for. What must
stay true: each file is whole at every moment (written under another name, then renamed), and
unless texts are asked for, a column leaves the store only when `PUBLIC` names it, so that a new
column with texts is empty until somebody decides otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import duckdb
from duckdb import DuckDBPyConnection

from crp.errors import StoreError
from crp.models import Wire

FILE = "snapshot.duckdb"
STORAGE = "v1.4.0"
MEMORY = "1GB"

_one_at_a_time = threading.Lock()


class Published(Wire):
    """What was written, and what was left out."""

    file: str
    bytes: int
    tables: dict[str, int]
    """Rows by table."""
    parquet: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    """Columns that hold nothing here, because they would hold texts."""
    reduced: tuple[str, ...] = ()
    """Columns of which a part is here, see `REDUCED`."""


class Column(NamedTuple):
    table: str
    name: str
    type: str
    required: bool

    @property
    def full(self) -> str:
        return f"{self.table}.{self.name}"

    @property
    def quoted(self) -> str:
        return f'"{self.name}"'

    @property
    def public(self) -> bool:
        """Whether it holds no words of a task, a prompt, an output or a person."""
        texts = "VARCHAR" in self.type or self.type in ("JSON", "BLOB")
        named = bool({self.name, self.full} & PUBLIC) or self.name.endswith("_sha256")
        return named or not texts

    @property
    def reduced(self) -> bool:
        return self.full in REDUCED


def publish(source: Path, folder: Path, *, with_texts: bool, parquet: bool) -> Published:
    """Write a copy of the store, which nobody changes meanwhile, into a folder.

    StoreError when the folder can not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time:
            return _publish(source, folder, with_texts, parquet)
    except (OSError, duckdb.IOException) as error:
        line = str(error).strip().splitlines()[0]
        raise StoreError(f"can not publish to {folder}: {line}") from error


def _publish(source: Path, folder: Path, with_texts: bool, parquet: bool) -> Published:
    file = folder / FILE
    unfinished = file.with_suffix(".unfinished")
    _remove(unfinished)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "temp_directory": "",
    }
    try:
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute(f"ATTACH {_text(source)} AS store (READ_ONLY)")
            connection.execute(
                f"ATTACH {_text(unfinished)} AS published (STORAGE_VERSION '{STORAGE}')"
            )
            hidden = _fill(connection, with_texts)
            tables = _counts(connection)
            files = _parquet(connection, folder / "parquet", tables) if parquet else []
            connection.execute("DETACH published")
        unfinished.replace(file)
    finally:
        _remove(unfinished)
    return Published(
        file=str(file),
        bytes=file.stat().st_size,
        tables=tables,
        parquet=tuple(map(str, files)),
        emptied=tuple(column.full for column in hidden if not column.reduced),
        reduced=tuple(column.full for column in hidden if column.reduced),
    )


def _remove(unfinished: Path) -> None:
    for path in (unfinished, unfinished.with_name(unfinished.name + ".wal")):
        path.unlink(missing_ok=True)


# -- rows -----------------------------------------------------------------------------------------


def _fill(connection: DuckDBPyConnection, with_texts: bool) -> list[Column]:
    """Make tables and views and copy the rows; give the columns that stay without their texts.

    Texts are never written rather than removed: what a file once held can be found in it.
    """
    connection.execute("COPY FROM DATABASE store TO published (SCHEMA)")
    all_hidden: list[Column] = []
    for table, columns in _columns(connection).items():
        hidden = [] if with_texts else [column for column in columns if not column.public]
        _copy_rows(connection, table, columns, hidden)
        all_hidden.extend(hidden)
    return all_hidden


def _copy_rows(
    connection: DuckDBPyConnection, table: str, columns: list[Column], hidden: list[Column]
) -> None:
    for column in hidden:
        _say_emptied(connection, column)
    if any(column.required and not column.reduced for column in hidden):
        return  # a row of this table is nothing but its text
    values = [_value(column) if column in hidden else column.quoted for column in columns]
    connection.execute(
        f'INSERT INTO published."{table}" SELECT {", ".join(values)} FROM store."{table}"'
    )


def _value(column: Column) -> str:
    return REDUCED.get(column.full, "NULL").format(column.quoted)


def _say_emptied(connection: DuckDBPyConnection, column: Column) -> None:
    query = (
        "SELECT comment FROM duckdb_columns() WHERE database_name = 'store'"
        " AND table_name = ? AND column_name = ?"
    )
    old = connection.execute(query, [column.table, column.name]).fetchall()[0][0]
    what = "reduced" if column.reduced else "emptied"
    words = f"{old or column.name} ({what}: published without texts)"
    connection.execute(
        f'COMMENT ON COLUMN published."{column.table}".{column.quoted} IS {_text(words)}'
    )


def _columns(connection: DuckDBPyConnection) -> dict[str, list[Column]]:
    query = """
        SELECT table_name, column_name, data_type, NOT is_nullable
        FROM duckdb_columns() AS c JOIN duckdb_tables() AS t USING (database_name, table_name)
        WHERE database_name = 'store' ORDER BY table_name, column_index
    """
    tables: dict[str, list[Column]] = {}
    for row in connection.execute(query).fetchall():
        column = Column(*row)
        tables.setdefault(column.table, []).append(column)
    return tables


def _counts(connection: DuckDBPyConnection) -> dict[str, int]:
    query = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'published' ORDER BY ALL"
    names = [name for (name,) in connection.execute(query).fetchall()]
    count = 'SELECT count(*) FROM published."{}"'
    return {name: connection.execute(count.format(name)).fetchall()[0][0] for name in names}


# -- Parquet --------------------------------------------------------------------------------------


def _parquet(connection: DuckDBPyConnection, folder: Path, tables: Iterable[str]) -> list[Path]:
    """Write all files beside the old ones first, then put each in its place."""
    folder.mkdir(exist_ok=True)
    files = [folder / f"{table}.parquet" for table in tables]
    unfinished = [file.with_suffix(".unfinished") for file in files]
    try:
        for file, target in zip(files, unfinished, strict=True):
            connection.execute(
                f'COPY published."{file.stem}" TO {_text(target)}'
                " (FORMAT parquet, COMPRESSION zstd)"
            )
        for file, target in zip(files, unfinished, strict=True):
            target.replace(file)
    finally:
        for target in unfinished:
            target.unlink(missing_ok=True)
    return files


def _text(value: object) -> str:
    quoted = str(value).replace("'", "''")
    return f"'{quoted}'"


# -- what may leave the store ---------------------------------------------------------------------

PUBLIC = frozenset(
    {
        *("job_id", "trace_id", "sha256", "identity"),
        *("status", "kind", "stage", "part", "cause", "held"),
        *("task_type", "template", "template_version", "template_step", "name", "version"),
        *("model_alias", "model_name", "model_provider", "model_class", "provider"),
        *("pressure", "pressure_reason", "gate_rule", "gate_reason", "plan_made_by"),
        *("candidate", "chosen", "scored_by", "scorer_kind"),
        *("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"),
        *("gen_ai_response_model", "gen_ai_response_finish_reasons", "error_type"),
        *("checks_passed", "checks_failed", "evidence"),
        *("curation_log.reason", "curation_log.detail"),
    }
)
"""Columns that hold names, numbers and reasons of this project, in every table or in one."""

_HASHED = "left(sha256({0}), 8)"
_STEP = f"if(contains({{0}}, '/'), split_part({{0}}, '/', 1) || '/' || {_HASHED}, {{0}})"

REDUCED = {
    "steps.step_id": _STEP,
    "steps.needs": f"list_transform({{0}}, lambda s: {_STEP.format('s')})",
    "attempts.step_id": _STEP,
    "events.step": _STEP,
    "attempts.transport": (
        'to_json(list_transform(from_json({0}, \'[{{"kind": "VARCHAR"}}]\'),'
        " lambda f: {{'kind': f.kind}}))"
    ),
}
"""Columns of which a part may leave: `profile/Vue` becomes `profile/` and a hash, the same in all
tables, so that they can be joined; of a transport failure its kind stays."""
