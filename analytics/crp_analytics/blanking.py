"""What is left of rows when their texts are taken out: numbers, times, statuses, names of ours.

Pure. `blanked` does the same to rows that a fact adds and to rows that were read from the tables,
and nothing more when it is done again: so a rebuild gives what the running store has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from crp_analytics.job_rows import Row
from crp_analytics.publish import PUBLIC
from crp_analytics.reading import JSON_COLUMNS
from crp_analytics.rows import Rows
from crp_analytics.text import as_json

WITH_TEXTS = ("jobs", "steps", "attempts", "events", "scores", "traces")
"""Tables whose rows say something of a job's texts."""

KEPT = (PUBLIC - {"identity", "stored_reason"}) | {"template_sha256", "dropped"}
"""Columns with words that are not the task's; whatever is not named here is emptied."""

STEP_COLUMNS = ("step_id", "step", "needs")
"""Columns with step ids, in which items stand: `profile/Vue`."""

Names = Mapping[str, str]
"""New ids by old ones."""


def blanked(rows: Rows, names: Names) -> Rows:
    """Give rows of one job without its texts, its ids and its library entries' replaced."""
    steps = _step_names(rows)
    left = {
        table: [_row(table, row, steps) for row in more] if table in WITH_TEXTS else more
        for table, more in rows.items()
        if table not in ("blobs", "trace_words")
    }
    return {table: [_renamed(row, names) for row in more] for table, more in left.items()}


def without_entries(value: Any, names: Names) -> Any:
    """Give JSON data with ids replaced, and without the texts of library entries that had them."""
    if isinstance(value, str):
        for old, new in names.items():
            value = re.sub(mention(old), rf"\g<1>{new}\g<2>", value) if old in value else value
        return value
    if isinstance(value, list):
        return [without_entries(item, names) for item in value]
    if isinstance(value, dict):
        quoted = value.get("trace_id") in names and "task_summary" in value
        data = {**value, "task_summary": "", "steps": []} if quoted else value
        return {
            key: item if key == "blobs" else without_entries(item, names)
            for key, item in data.items()
        }
    return value


def mention(identifier: str) -> str:
    """Give the pattern of an id among other words, for Python and for DuckDB."""
    return rf"(^|[^\w-]){re.escape(identifier)}($|[^\w-])"


def _renamed(row: Row, names: Names) -> Row:
    ids = {key: row[key] for key in ("job_id", "trace_id") if row.get(key) in names}
    return {**row, **{key: names[old] for key, old in ids.items()}}


def _row(table: str, row: Row, steps: Names) -> Row:
    return {column: _value(table, column, value, steps) for column, value in row.items()}


def _value(table: str, column: str, value: Any, steps: Names) -> Any:
    if value is None or {column, f"{table}.{column}"} & KEPT:
        return value
    if column in STEP_COLUMNS and table != "traces":
        return [steps[s] for s in value] if isinstance(value, list) else steps[value]
    if column in ("identity", "word_count"):
        return "" if column == "identity" else 0
    if isinstance(value, list):
        return []
    if isinstance(value, str):
        return _text(column, value)
    return value


def _text(column: str, value: str) -> str | None:
    if column.endswith("_sha256") or column == "note":
        return None
    if column == "steps":
        return "[]"
    if column in ("verdicts", "parts", "transport"):
        return as_json([_only(item, VERDICT) for item in json.loads(value)])
    if column == "body":
        return as_json(_only(json.loads(value)))
    return None if column in JSON_COLUMNS else ""


VERDICT = ("check", "score", "passed", "weight", "kind", "at", "retry_after")
"""What stays of a check's verdict and of a call that did not answer."""


def _only(body: Any, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """Give what is a number in a body, and what is named."""
    if not isinstance(body, dict):
        return {}
    return {k: v for k, v in body.items() if k in names or isinstance(v, bool | int | float)}


def _step_names(rows: Rows) -> dict[str, str]:
    """Give each step a name without its item: `profile/Vue` becomes `profile/1`."""
    names: dict[str, str] = {}
    for step in _steps(rows):
        if step not in names:
            head, slash, _ = step.partition("/")
            names[step] = f"{head}/{len(names) + 1}" if slash else step
    return names


def _steps(rows: Rows) -> Iterator[str]:
    """The ids of all steps, always in the same order."""
    for table, column, order in ORDERED:
        for row in sorted(rows.get(table, []), key=lambda row, by=order: row[by]):  # type: ignore[misc]
            yield from [row[column]] if row[column] is not None else []
            yield from row.get("needs") or []


ORDERED = (
    ("steps", "step_id", "position"),
    ("attempts", "step_id", "position"),
    ("events", "step", "sequence"),
)
