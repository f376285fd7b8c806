"""Reads the tasks of a batch: JSONL, CSV, or files that are each the facts of one task.

Every mistake of every file is collected, with its line, and told at once, before anything is
started. Reads files; starts nothing.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from crp.batching.task import MOST_CONTEXT, BatchTask, read_facts
from crp.errors import CRPError, NotFound, UsageError
from crp.language.shapes import suggest
from crp.models import Task
from crp.request import letters, slug

FIELDS = ("id", "task", "template", "model", "input", "context", "context_file")
INPUT = "input."
"""What the columns of a CSV file begin with that are inputs."""
TABLES = {".csv": ",", ".tsv": "\t"}
MOST_TOLD = 40
"""Mistakes that are told one by one."""
LONGEST_ID = 200


class Bad(Exception):
    """One mistake of one line."""


Fit = Callable[[BatchTask], BatchTask]


@dataclass
class Reading:
    """What was read so far."""

    fit: Fit
    tasks: list[BatchTask] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _places: dict[str, str] = field(default_factory=dict)
    """Where each id stands."""

    def add(self, task: BatchTask) -> None:
        if first := self._places.get(task.id):
            self.problems.append(f"{task.place}: the id {task.id!r} stands at {first} already")
            return
        self._places[task.id] = task.place
        try:
            self.tasks.append(self.fit(task))
        except CRPError as error:
            self.problems.append(f"{task.place}: {error}")

    def all(self) -> list[BatchTask]:
        """Give the tasks; raises UsageError that tells every mistake."""
        if self.problems:
            told = [f"  {problem}" for problem in self.problems[:MOST_TOLD]]
            if more := len(self.problems) - len(told):
                told.append(f"  and {more} more")
            count = len(self.problems)
            what = "a mistake" if count == 1 else f"{count} mistakes"
            raise UsageError("\n".join([f"{what} in the tasks; nothing was started:", *told]))
        if not self.tasks:
            raise UsageError("there are no tasks in it")
        return self.tasks


def as_it_is(task: BatchTask) -> BatchTask:
    return task


def read_tasks(names: Iterable[str | Path], fit: Fit = as_it_is) -> list[BatchTask]:
    """Read tasks from JSONL and CSV files; `-` is JSONL from stdin.

    `fit` completes each task, or raises the CRPError that says why it could not run. Raises
    NotFound, and UsageError with every mistake and its line.
    """
    reading = Reading(fit)
    for name in map(str, names):
        path = Path(name)
        folder = Path() if name == "-" else path.parent
        data = sys.stdin.buffer.read() if name == "-" else _bytes(path)
        shown = "stdin" if name == "-" else path.name
        if path.suffix.lower() in TABLES:
            _read_table(reading, data, shown, folder, TABLES[path.suffix.lower()])
        else:
            _read_lines(reading, data, shown, folder)
    return reading.all()


def tasks_about(text: str, names: Iterable[str | Path], fit: Fit = as_it_is) -> list[BatchTask]:
    """Ask the same of many files: each is the facts of one task, and its path is the task's id."""
    reading = Reading(fit)
    for name in map(str, names):
        try:
            _, sha256 = read_facts(Path(name))
        except CRPError as error:
            reading.problems.append(str(error))
            continue
        path, shown = Path(name), _relative(Path(name))
        reading.add(BatchTask(shown, text, context_file=path, context_sha256=sha256, place=shown))
    return reading.all()


def expand(names: Iterable[str], but: Path | None = None) -> list[str]:
    """Give the files that are meant: a pattern that the shell left alone is looked up here.

    `but` is left out: the results of an earlier run. Raises NotFound for a pattern without a file.
    """
    found: list[str] = []
    for name in names:
        if name == "-" or Path(name).exists() or not glob.has_magic(name):
            found.append(name)
            continue
        files = sorted(f for f in glob.glob(name, recursive=True) if Path(f).is_file())
        if not files:
            raise NotFound(f"no file fits {name!r}")
        found += files
    ours = but.resolve() if but else None
    return [name for name in dict.fromkeys(found) if ours is None or Path(name).resolve() != ours]


def _relative(path: Path) -> str:
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no file {str(path)!r}") from None
    except OSError as error:
        raise UsageError(f"{str(path)!r} can not be read: {error.strerror}") from None


# -- JSONL ----------------------------------------------------------------------------------------


def _read_lines(reading: Reading, data: bytes, file: str, folder: Path) -> None:
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        place = f"{file}:{number}"
        try:
            reading.add(_task(_object(line), place, folder))
        except Bad as bad:
            reading.problems.append(f"{place}: {bad}")


def _object(line: bytes) -> dict[str, Any]:
    try:
        data = json.loads(line, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise Bad(f"not JSON: {error.msg.lower()} at column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise Bad(f"not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise Bad("not JSON that can be read: it is nested too deeply") from None
    except ValueError:
        raise Bad("not JSON that can be read: a number has too many digits") from None
    if not isinstance(data, dict):
        raise Bad('a line is an object, such as {"id": "1", "task": "Compare tea and coffee"}')
    return data


def _no_number(word: str) -> NoReturn:
    raise Bad(f"{word} is no number in JSON")


# -- CSV ------------------------------------------------------------------------------------------


def _read_table(reading: Reading, data: bytes, file: str, folder: Path, delimiter: str) -> None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        reading.problems.append(f"{file}:{line}: not UTF-8 (byte {error.start})")
        return
    header = text.split("\n", 1)[0]
    if delimiter == "," and "," not in header and ";" in header:
        delimiter = ";"  # what some spreadsheets write
    csv.field_size_limit(MOST_CONTEXT)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] = []
    for number, row in _numbered(rows, reading, file):
        if not columns:
            columns = [name.strip() for name in row]
            continue
        place = f"{file}:{number}"
        try:
            reading.add(_task(_record(columns, row), place, folder))
        except Bad as bad:
            reading.problems.append(f"{place}: {bad}")


def _numbered(rows: Any, reading: Reading, file: str) -> Iterator[tuple[int, list[str]]]:
    """Give rows with the line that each begins on; a text in quotes may have several lines."""
    while True:
        begins = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:  # what comes after can not be told apart any more
            reading.problems.append(f"{file}:{begins}: not CSV: {error}")
            return
        if any(cell.strip() for cell in row):
            yield begins, row


def _record(columns: list[str], row: list[str]) -> dict[str, Any]:
    if len(row) > len(columns):
        raise Bad(f"{len(row)} cells, and there are {len(columns)} columns")
    cells = {name: cell for name, cell in zip(columns, row, strict=False) if cell.strip()}
    inputs = {n.removeprefix(INPUT): c for n, c in cells.items() if n.startswith(INPUT)}
    others = {n: c for n, c in cells.items() if not n.startswith(INPUT)}
    return {**others, "input": inputs} if inputs else others


# -- one record -----------------------------------------------------------------------------------


def _task(data: dict[str, Any], place: str, folder: Path) -> BatchTask:
    for name in data:
        if name not in FIELDS:
            there = suggest(str(name), FIELDS) or f"there are {', '.join(FIELDS)}"
            raise Bad(f"no field {name!r}: {there}")
    text = _text(data, "task")
    if not text.strip():
        raise Bad("there is no task")
    inputs = data.get("input") or {}
    if not isinstance(inputs, dict):
        raise Bad('input is an object, such as {"items": ["tea", "coffee"]}')
    try:
        Task(text=text, inputs=inputs)
    except ValidationError as error:
        raise Bad(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    context, file = _text(data, "context"), _text(data, "context_file")
    if context and file:
        raise Bad("context and context_file: give one of them")
    path, sha256 = _facts_of(file, folder) if file else (None, "")
    return BatchTask(
        id=_id(data, text),
        text=text,
        template=_text(data, "template"),
        model=_text(data, "model"),
        inputs=inputs,
        context=context,
        context_file=path,
        context_sha256=sha256,
        place=place,
    )


def _facts_of(file: str, folder: Path) -> tuple[Path, str]:
    path = folder / Path(file).expanduser()
    try:
        return path, read_facts(path)[1]
    except CRPError as error:
        raise Bad(str(error)) from None


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Bad(f"{name} is a text, not {json.dumps(value)[:60]}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Bad(f"{name} has half a character in it (a lone surrogate)") from None
    return value


def _id(data: dict[str, Any], text: str) -> str:
    """The id that is given; without one, the task's words and a digest of the line."""
    given = data.get("id")
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    found = _text(data, "id").strip()
    if len(found) > LONGEST_ID:
        raise Bad(f"the id has {len(found)} characters; {LONGEST_ID} are the most")
    if re.search(r"[\x00-\x1f\x7f]", found):
        raise Bad("the id has control characters in it")
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return found or f"{slug(text)}-{letters(digest, 6)}"
