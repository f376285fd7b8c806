"""The prompt of `crp sql`: history, completion, several lines until `;`, and a few commands.

`Session` understands what is entered and needs no terminal; `prompt` reads it from one. What was
entered is kept in a file of the home.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from crp.cli.sql_output import Format, draw, write
from crp.cli.terminal import out, print_table, say
from crp.errors import CRPError, NotFound, UsageError

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

    from crp_analytics.sql import Table

HELP = r"""A query ends with ; and may have several lines.
\d            tables and views
\d NAME       what one of them is, with its columns; for a view its question and an example
\chart        draw the last result
\format NAME  write results as table, csv, json or jsonl
\q            leave (or Ctrl-D)"""

COMMANDS = (r"\d", r"\chart", r"\format", r"\q", r"\?")

WORDS = (
    "SELECT FROM WHERE GROUP BY ORDER LIMIT HAVING JOIN LEFT USING ON AS WITH UNION ALL DISTINCT"
    " AND OR NOT NULL IS IN LIKE BETWEEN CASE WHEN THEN ELSE END ASC DESC FILTER OVER PARTITION"
    " QUALIFY PIVOT UNNEST DESCRIBE SUMMARIZE count avg sum min max median round date_trunc"
)


class Ask(Protocol):
    """Runs one query."""

    def __call__(self, text: str, most: int = ...) -> Table: ...


class Session:
    """What one prompt remembers: the format and the last result."""

    def __init__(self, ask: Ask, form: Format = Format.table, chart: bool = False) -> None:
        self._ask = ask
        self._form = form
        self._chart = chart
        self._last: Table | None = None

    def enter(self, text: str) -> bool:
        """Do what was entered; False when the user wants to leave. Raises CRPError."""
        text = text.strip().removesuffix(";").strip()
        if text.lower() in (r"\q", "quit", "exit"):
            return False
        if text.startswith("\\"):
            self._command(*text.split(maxsplit=1))
        elif text:
            self._last = self._ask(text)
            draw(self._last) if self._chart else write(self._last, self._form)
        return True

    def _command(self, name: str, argument: str = "") -> None:
        commands: dict[str, Callable[[str], None]] = {
            r"\d": self._describe,
            r"\chart": self._draw,
            r"\format": self._choose_format,
            r"\?": lambda _: out(HELP),
        }
        if name not in commands:
            raise UsageError(rf"no command {name}: \? shows them")
        commands[name](argument.strip())

    def _draw(self, _: str) -> None:
        if self._last is None:
            raise UsageError("there is no result yet: ask something first")
        draw(self._last)

    def _choose_format(self, name: str) -> None:
        names = [form for form in Format if form is not Format.parquet]
        if name not in names:
            raise UsageError(rf"\format takes one of {', '.join(names)}")
        self._form, self._chart = Format(name), False

    # -- what there is ------------------------------------------------------------------------

    def _describe(self, name: str) -> None:
        if name:
            self._describe_one(name)
        else:
            rows = self._ask(ALL).rows
            print_table(("name", "what it says"), [(row[0], _first_line(row[1])) for row in rows])

    def _describe_one(self, name: str) -> None:
        found = self._ask(ONE.format(name.lower().replace("'", "''"))).rows
        if not found:
            raise NotFound(rf"no table or view {name}: \d shows them")
        out(f"{found[0][1] or ''}\n")
        columns = self._ask(COLUMNS.format(str(found[0][0]).replace("'", "''")))
        print_table(columns.columns, columns.rows)

    def catalog(self) -> dict[str, list[str]]:
        """Give the columns of every table and view, for completion; {} when it can not be read."""
        try:
            rows = self._ask(CATALOG, 10_000).rows
        except CRPError:
            return {}
        tables: dict[str, list[str]] = {}
        for table, column in rows:
            tables.setdefault(str(table), []).append(str(column))
        return tables


def _first_line(text: Any) -> str:
    return str(text or "").partition("\n")[0]


def complete(before: str, tables: dict[str, list[str]]) -> list[str]:
    """Say what may stand where the cursor is: what the query speaks of comes first."""
    if re.fullmatch(r"\s*\\\w*", before):
        return _beginning(before.strip(), COMMANDS)
    if re.match(r"\s*\\format\s", before):
        return _beginning(_word(before), [form for form in Format if form != "parquet"])
    if re.match(r"\s*\\d\s", before) or re.search(r"\b(from|join)\s+\w*$", before, re.I):
        return _beginning(_word(before), tables)
    if owner := re.search(r"(\w+)\.\w*$", before):
        table = _aliases(before, tables).get(owner[1].lower(), owner[1])
        return _beginning(_word(before), tables.get(table, ()))
    spoken_of = [column for table in _aliases(before, tables).values() for column in tables[table]]
    every = spoken_of or [column for columns in tables.values() for column in columns]
    word = _word(before)
    return _beginning(word, [*every, *tables, *WORDS.split()]) if word else []


def _word(before: str) -> str:
    found = re.search(r"\w*$", before)
    return found[0] if found else ""


def _aliases(before: str, tables: dict[str, list[str]]) -> dict[str, str]:
    """Give the tables that a query names, by the names that it gives them."""
    named = re.findall(r"\b(?:from|join)\s+(\w+)(?:\s+(?:as\s+)?(\w+))?", before, re.I)
    known = [(table, alias) for table, alias in named if table in tables]
    return {name.lower(): table for table, alias in known for name in (table, alias) if name}


def _beginning(word: str, names: Iterable[str]) -> list[str]:
    return [n for n in dict.fromkeys(names) if n.lower().startswith(word.lower()) and n != word]


def whole(text: str) -> bool:
    """Say whether what was typed may be done: a query needs its `;`, a command does not."""
    text = text.strip()
    return not text or text.endswith(";") or text.startswith("\\") or text in ("exit", "quit")


# -- the terminal ---------------------------------------------------------------------------------


def prompt(session: Session, history: Path) -> None:
    """Read and do what is entered, until the user leaves."""
    terminal = make_terminal(session.catalog(), history)
    say(r"\? shows the commands, Tab completes, a query ends with ;")
    while True:
        try:
            if not session.enter(terminal.prompt("crp> ")):
                return
        except CRPError as error:
            say(f"error: {error}")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def make_terminal(tables: dict[str, list[str]], history: Path, **more: Any) -> PromptSession[str]:
    """Make the line editor; `more` goes to prompt_toolkit."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.history import FileHistory
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.lexers import PygmentsLexer
    from pygments.lexers.sql import SqlLexer  # type: ignore[import-untyped]  # rich brings it

    class Names(Completer):
        def get_completions(self, document: Any, event: Any) -> Iterable[Completion]:
            before = document.text_before_cursor
            start = (
                -len(before.strip()) if re.fullmatch(r"\s*\\\w*", before) else -len(_word(before))
            )
            return (Completion(name, start) for name in complete(before, tables))

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: Any) -> None:
        buffer = event.current_buffer
        buffer.validate_and_handle() if whole(buffer.text) else buffer.insert_text("\n")

    history.parent.mkdir(parents=True, exist_ok=True)
    return PromptSession(
        multiline=True,
        prompt_continuation="...> ",
        history=FileHistory(str(history)),
        completer=Names(),
        complete_while_typing=False,
        lexer=PygmentsLexer(SqlLexer),
        key_bindings=keys,
        **more,
    )


ALL = """
SELECT table_name, comment FROM duckdb_tables()
UNION ALL
SELECT view_name, comment FROM duckdb_views() WHERE NOT internal
ORDER BY ALL
"""

ONE = """
SELECT * FROM (
    SELECT table_name AS name, comment FROM duckdb_tables()
    UNION ALL
    SELECT view_name, comment FROM duckdb_views() WHERE NOT internal
) WHERE lower(name) = '{}'
"""

COLUMNS = """
SELECT column_name AS "column", data_type AS "type", coalesce(comment, '') AS "what it says"
FROM duckdb_columns() WHERE table_name = '{}' ORDER BY column_index
"""

CATALOG = """
SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal
ORDER BY table_name LIKE 'v\\_%' ESCAPE '\\', table_name, column_index
"""
