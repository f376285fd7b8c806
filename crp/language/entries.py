"""Several values out of what a model wrote: the entries of a list, fields, the rows of a table.

Lines with a marker are entries and everything else is chatter; where nothing has a marker, lines
are entries. Pure and linear.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import JsonValue

from crp.language import salvage, scalars
from crp.language.show import line as in_line
from crp.language.words import sentences, words

MOST = 200
"""Entries or rows that are read at most."""

_MARK = re.compile(
    r"^(?P<indent>[ \t]*)(?:#{1,6}[ \t]+)?(?P<bold>[*_]{2})?"
    r"(?:[-*+•–—·‣▪●○◦][ \t]+(?:\[[ xX]?\][ \t]+)?|[-•–—‣▪●○◦](?=[^\W\d])"
    r"|\(?(?:step[ \t]+)?\d{1,3}(?:[.):]|[ \t]-)(?:[ \t]+|(?=\*\*)|(?=[A-Z])|$)"
    r"|step[ \t]+\d{1,3}(?:[ \t]*[-–—][ \t]*|[ \t]+)|\(?[a-z][)][ \t]+)",
    re.IGNORECASE,
)
_KEY = re.compile(r"^[\s>*_#•+-]*[\"'`]?([^\W\d_][\w .-]{0,60}?)[\"'`]?[\s*_]*[:=][\s*_]*(.*)$")


def entries(text: str, one_line: bool = False) -> list[str]:
    """Split a text into the entries of the list that it holds, each once.

    `one_line`: a single line without markers is split at commas, as in `React, Vue and Angular`.
    """
    found = _from_json(text) if text.lstrip("` \njson").startswith(("[", "{")) else []
    lines = [line for line in text.split("\n") if line.strip()]
    found = found or _marked(text.split("\n")) or _unmarked(lines, one_line)
    seen: dict[str, str] = {}
    for entry in found:
        tidy = _tidy(entry)
        if tidy.strip("-*_.:#` "):
            seen.setdefault(" ".join(words(tidy)) or tidy, tidy)
    return list(seen.values())[:MOST]


def _tidy(entry: str) -> str:
    entry = " ".join(entry.split()).rstrip(",;").strip()
    if entry.startswith("**") and entry.count("**") % 2:
        entry = entry[2:]
    if entry.endswith("**") and entry.count("**") % 2:
        entry = entry[:-2]
    if entry.startswith("**") and entry.endswith("**") and entry.count("**") == 2:
        entry = entry[2:-2]
    if len(entry) > 1 and entry[0] == entry[-1] and entry[0] in "\"'`":
        entry = entry[1:-1]
    return entry.strip()


def _from_json(text: str) -> list[str]:
    found = salvage.find(text)
    value: JsonValue = found.value if found else None
    if isinstance(value, dict):
        lists = [entry for entry in value.values() if isinstance(entry, list)]
        value = lists[0] if len(lists) == 1 else [f"{k}: {in_line(v)}" for k, v in value.items()]
    return [in_line(entry) for entry in value] if isinstance(value, list) else []


def _marked(lines: Sequence[str]) -> list[str]:
    found: list[str] = []
    first_indent: int | None = None
    open_entry = False
    for line in lines:
        match = _MARK.match(line[:200])
        if match:
            rest = (match["bold"] or "") + line[match.end() :].strip()
            indent = len(match["indent"].expandtabs(4))
            first_indent = indent if first_indent is None else first_indent
            if found and indent >= first_indent + 2:
                found[-1] += (" " if found[-1].endswith((":", ":**")) else "; ") + rest
            else:
                found.append(rest)
            open_entry = True
        elif not line.strip():
            open_entry = False
        elif open_entry and (line[0] in " \t" or not found[-1]):
            found[-1] = f"{found[-1]} {line.strip()}".strip()
    return found


def _unmarked(lines: Sequence[str], one_line: bool) -> list[str]:
    said = [line for line in lines if not scalars.is_preamble(line)] or list(lines)
    said = [line for line in said if not line.rstrip().endswith(":") or len(said) == 1]
    if len(said) != 1:
        return said
    if one_line:
        body = scalars.unlabelled(said[0]).rstrip(".")
        head, colon, rest = body.partition(": ")
        body = rest if colon and "," not in head else body
        return [part for part in re.split(r",\s+(?:and|or)\s+|[,;]\s|\s+and\s+", body) if part]
    return sentences(said[0])


def same(name: str) -> str:
    """Give a name in the form in which names are compared: `Right answer` is `right_answer`."""
    return "_".join(words(name.replace("_", " ").replace("-", " ")))


def fields(text: str, names: Sequence[str]) -> dict[str, JsonValue]:
    """Find the named fields: in JSON, or as `name: value` lines with lists below them."""
    wanted = {same(name): name for name in names}
    found = salvage.find(text)
    if found and isinstance(found.value, dict):
        value = found.value
        inner = [entry for entry in value.values() if isinstance(entry, dict)]
        if len(value) == 1 and inner and not wanted.keys() & set(map(same, value)):
            value = inner[0]
        read = {wanted[same(k)]: v for k, v in value.items() if same(k) in wanted}
        if read:
            return read
    return {name: value for name, value in _lines(text, wanted).items() if value}


def _lines(text: str, wanted: dict[str, str]) -> dict[str, str]:
    read: dict[str, str] = {}
    current = ""
    for entry in text.split("\n"):
        match = _KEY.match(entry[:2000])
        if match and same(match[1]) in wanted:
            current = wanted[same(match[1])]
            read.setdefault(current, "")
            read[current] = read[current] or match[2].strip().rstrip(",").strip()
        elif current and entry.strip():
            read[current] = f"{read[current]}\n{entry}".strip("\n")
    return read


def rows(text: str, columns: Sequence[str]) -> tuple[list[dict[str, str]], list[str]]:
    """Read a Markdown table as rows by column, and name the columns that its head lacks."""
    found = salvage.find(text) if "|" not in text else None
    if found and isinstance(found.value, list):
        records = [row for row in found.value[:MOST] if isinstance(row, dict)]
        grid = [list(records[0])] if records else []
        grid += [[in_line(row.get(key)) for key in grid[0]] for row in records]
        return _by_column(grid, columns, True) if grid else ([], list(columns))
    lines = [line for line in text.split("\n") if "|" in line][: MOST + 2]
    grid = [_cells(line) for line in lines if not is_rule(line)]
    has_head = len(lines) > 1 and is_rule(lines[1])
    return _by_column(grid, columns, has_head) if grid else ([], list(columns))


def is_rule(line: str) -> bool:
    """Tell whether a line is the rule under the head of a table."""
    return "-" in line and not line.strip(" \t|:+=-")


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("*").strip() for cell in line.strip().strip("|").split("|")]


def _by_column(
    grid: list[list[str]], columns: Sequence[str], has_head: bool
) -> tuple[list[dict[str, str]], list[str]]:
    columns = columns or grid[0]
    head = [same(cell) for cell in grid[0]]
    places = {column: head.index(same(column)) for column in columns if same(column) in head}
    body = grid[1:] if places or has_head else grid
    # A column that the model calls something else stands where no other one is.
    free = [p for p in range(max(map(len, grid))) if p not in places.values()]
    places |= dict(zip((c for c in columns if c not in places), free, strict=False))
    missing = [column for column in columns if column not in places]
    read = [
        {c: row[places[c]] if c in places and places[c] < len(row) else "" for c in columns}
        for row in body
    ]
    return [row for row in read if any(row.values())], missing
