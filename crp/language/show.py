"""How a value reads inside a later prompt, or as a part of a joined answer."""

from __future__ import annotations

from pydantic import JsonValue

_DEEPEST = 6
_LONG = 160


def show(value: JsonValue, heading: str = "") -> str:
    """Write a value as people would: lists as bullets, fields as lines, rows as a table.

    A mapping whose values are lists, tables or long texts is a fan-out's: each of its entries
    gets a heading.
    """
    body = _show(value, 3 if heading else 2)
    return f"## {heading}\n{body}" if heading and body else body


def line(value: JsonValue, depth: int = 0) -> str:
    """Write a value in one line."""
    if isinstance(value, list) and depth < _DEEPEST:
        return "; ".join(filter(None, (line(entry, depth + 1) for entry in value)))
    if isinstance(value, dict) and depth < _DEEPEST:
        return "; ".join(f"{key}: {line(entry, depth + 1)}" for key, entry in value.items())
    return " ".join(_scalar(value).split())


def is_table(value: JsonValue) -> bool:
    """Tell whether a value is rows of the same columns."""
    rows = value if isinstance(value, list) else []
    columns = [list(row) for row in rows if isinstance(row, dict)]
    return bool(columns) and len(columns) == len(rows) and all(c == columns[0] for c in columns)


def _show(value: JsonValue, level: int) -> str:
    if isinstance(value, list) and value:
        return (
            _table(value) if is_table(value) else "\n".join(f"- {line(entry)}" for entry in value)
        )
    if isinstance(value, dict):
        if level < _DEEPEST and _is_fan_out(value):
            parts = ((key, _show(entry, level + 1)) for key, entry in value.items())
            return "\n\n".join(f"{'#' * level} {key}\n{body}" for key, body in parts if body)
        return "\n".join(f"{key}: {line(entry)}" for key, entry in value.items())
    return _scalar(value)


def _is_fan_out(values: dict[str, JsonValue]) -> bool:
    present = [value for value in values.values() if value is not None]
    if all(isinstance(value, str) for value in present):
        return any("\n" in str(value) or len(str(value)) > _LONG for value in present)
    same = len({type(value) for value in present}) == 1
    return same and isinstance(present[0], list | dict)


def _table(rows: list[JsonValue]) -> str:
    cells = [row for row in rows if isinstance(row, dict)]
    columns = list(cells[0])
    lines = [columns, ["---"] * len(columns)]
    lines += [[line(row[column]).replace("|", "/") for column in columns] for row in cells]
    return "\n".join("| " + " | ".join(entries) + " |" for entries in lines)


def _scalar(value: JsonValue) -> str:
    if value is None or value == [] or value == {}:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format(value, ".10g")
    return str(value).strip() if not isinstance(value, list | dict) else "…"
