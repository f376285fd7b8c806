"""`crp sql`: formats, the prompt, completion; and `crp traces publish`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crp.cli.sql_output import Format, unique
from crp.cli.sql_prompt import Session, complete, make_terminal, whole
from crp.errors import NotFound, UsageError
from crp_analytics.store import TraceStore
from tests.analytics.samples import record
from tests.support.model_server import ModelServer

KINDS = (
    "SELECT 1::HUGEINT AS i, DATE '2026-01-02' AS d, TIMESTAMP '2026-01-02 03:04:05' AS t,"
    " 'ab'::BLOB AS b, [1, NULL] AS l, {'k': TIMESTAMP '2026-01-02 03:04:05'} AS s,"
    " 'NaN'::DOUBLE AS f, 1.50::DECIMAL(4,2) AS m, MAP {1: 'x'} AS p, INTERVAL 2 SECOND AS v,"
    ' NULL AS n, \'say "hi"\' AS "a ""b", now() AS w, \'{"a": 1}\'::JSON AS j,'
    " 'x'::ENUM('x', 'y,)') AS e, true AS o, uuid() AS u"
)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A home with one recorded job."""
    with TraceStore.open(tmp_path / "home/traces") as store:
        store.record(record("j1"))
    return tmp_path / "home"


# -- formats ----------------------------------------------------------------------------------


def test_json_lines_are_one_record_a_line(crp: Any) -> None:
    done = crp("sql", "select i, 'a\nb' as t from range(2) r(i)", "--format", "jsonl")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"i": 0, "t": "a\nb"},
        {"i": 1, "t": "a\nb"},
    ]


def test_csv_keeps_line_breaks_and_quotes_and_writes_lists_as_json(crp: Any) -> None:
    done = crp("sql", "select 'a,\n\"b\"' as t, ['x'] as l", "--format", "csv")
    assert list(csv.reader(io.StringIO(done.stdout))) == [["t", "l"], ['a,\n"b"', '["x"]']]


def test_two_columns_of_one_name_are_both_kept(crp: Any) -> None:
    done = crp("sql", "select 1 as n, 2 as n", "--json")
    assert json.loads(done.stdout) == [{"n": 1, "n_2": 2}]
    assert unique(["n", "n", "n_2"]) == ["n", "n_3", "n_2"]


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "table"])
def test_a_file_has_what_the_screen_would_have(crp: Any, form: str) -> None:
    query = "select 1 as a, 'x' as b"
    done = crp("sql", query, "--format", form, "--output", "out")
    assert (done.exit_code, done.stdout) == (0, "")
    assert Path("out").read_text() == crp("sql", query, "--format", form).stdout


def test_the_name_of_the_file_says_the_format(crp: Any) -> None:
    crp("sql", "select 1 as a", "-o", "out.csv")
    assert Path("out.csv").read_text() == "a\n1\n"


def test_parquet_has_the_values_with_their_types(crp: Any, filled: Path) -> None:
    assert crp("sql", KINDS, "-o", "out.parquet").exit_code == 0
    with duckdb.connect() as connection:
        there = {
            row[0]: row[1] for row in connection.execute("DESCRIBE FROM 'out.parquet'").fetchall()
        }
        expected = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {KINDS}").fetchall()}
        differ = {name for name in expected if there[name] != expected[name]}
        assert differ == {"i", "n", "e"}, "no such types in Parquet"
        row = connection.execute(
            "SELECT d::VARCHAR, t::VARCHAR, b, l, s.k::VARCHAR, isnan(f), m::VARCHAR, p,"
            ' v = INTERVAL 2 SECOND, n, "a ""b", w < now(), j->>\'a\', e, o'
            " FROM 'out.parquet'"
        ).fetchall()[0]
    assert row == (
        "2026-01-02", "2026-01-02 03:04:05", b"ab", [1, None], "2026-01-02 03:04:05", True, "1.50",
        {1: "x"}, True, None, 'say "hi"', True, "1", "x", True,
    )  # fmt: skip


def test_parquet_of_no_rows_has_the_columns(crp: Any) -> None:
    crp("sql", "select job_id, quality from jobs", "-o", "out.parquet")
    with duckdb.connect() as connection:
        columns = connection.execute("DESCRIBE FROM 'out.parquet'").fetchall()
        assert [(c[0], c[1]) for c in columns] == [("job_id", "VARCHAR"), ("quality", "DOUBLE")]


def test_a_query_that_fails_leaves_the_old_file(crp: Any) -> None:
    Path("out.csv").write_text("old")
    assert crp("sql", "select nothing", "-o", "out.csv").exit_code == 7
    assert Path("out.csv").read_text() == "old"
    assert [p.name for p in Path().iterdir()] == ["out.csv"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--format", "parquet"], "--output"),
        (["--format", "csv", "--json"], "--format and --json"),
        (["--chart", "--csv"], "--csv and --chart"),
        (["--chart", "-o", "x.txt"], "--chart"),
        (["-o", "."], "is a directory"),
        (["-o", "nowhere/x.csv"], "no directory nowhere"),
        (["-o", "nowhere/x.parquet"], "no directory nowhere"),
        (["-o", "/etc/passwd/x.csv"], "can not write /etc/passwd/x.csv"),
        (["-o", "/proc/x.parquet"], "can not write /proc/x.parquet"),
        (["-o", "n" * 300 + ".csv"], "can not write nnn"),
    ],
)
def test_what_does_not_fit_together_is_said_in_one_line(
    crp: Any, words: list[str], says: str
) -> None:
    done = crp("sql", "select 1 as a", *words)
    assert done.exit_code == 2
    assert says in done.stderr.splitlines()[-1]


def test_a_query_may_come_from_stdin(crp: Any) -> None:
    assert crp("sql", input="select 1 as a\n").stdout == "a\n1\n"
    assert crp("sql", "-", input="select 1 as a;\n").stdout == "a\n1\n"


def test_a_query_that_is_no_text_is_said_in_one_line(crp: Any) -> None:
    done = crp("sql", input=b"select '\xff'")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (
        2,
        "error: the query is not UTF-8 text (byte 8)",
    )


def test_nothing_is_imported_from_the_working_directory(crp: Any) -> None:
    Path("uuid.py").write_text("raise SystemExit('hijacked')")
    assert crp("sql", "select 1 as a").exit_code == 0


def test_the_time_limit_is_the_users(crp: Any) -> None:
    endless = "select sum(sin(i)) from range(1000000000000) t(i)"
    done = crp("sql", endless, "--timeout", "0.5")
    assert done.exit_code == 7
    assert "longer than 0.5 s" in done.stderr


def test_the_chart_option_draws(crp: Any) -> None:
    done = crp("sql", "select 'a' as name, 2 as n", "--chart")
    assert done.stdout.startswith("n by name\na  2  ██")


# -- what is entered at the prompt ------------------------------------------------------------


@pytest.fixture
def session() -> Session:
    """A session on a small store."""
    store = TraceStore.in_memory()
    store.record(record("j1"))
    return Session(lambda text, most=1000: store.sql(text, row_cap=most))


def test_a_query_ends_with_a_semicolon_and_a_command_with_its_line() -> None:
    assert not any(map(whole, ("select 1", "select ';' as a", "select 1\n")))
    assert all(map(whole, ("select 1;", "select\n1 ; ", r"\d jobs", "", "exit")))


def test_describe_shows_the_question_and_the_example_of_a_view(
    session: Session, capsys: Any
) -> None:
    session.enter(r"\d v_retries")
    told = capsys.readouterr().out
    assert told.startswith("Which steps need more than one attempt")
    assert "Example: SELECT * FROM v_retries" in told
    assert "retry_rate_low" in told


def test_describe_shows_what_the_columns_of_a_table_hold(session: Session, capsys: Any) -> None:
    session.enter(r"\d JOBS;")
    told = capsys.readouterr().out
    assert told.startswith("One row is one finished job")
    assert "the rule that decided" in told


def test_describe_alone_lists_everything(session: Session, capsys: Any) -> None:
    session.enter(r"\d")
    told = capsys.readouterr().out
    assert "v_few_shot_effect" in told
    assert "One row is one model call" in told


def test_describe_of_a_name_that_is_not_there_or_is_hostile(session: Session) -> None:
    for name in ("nothing", "x' OR 1=1 --"):
        with pytest.raises(NotFound, match="no table or view"):
            session.enter(rf"\d {name}")


def test_the_last_result_can_be_drawn(session: Session, capsys: Any) -> None:
    with pytest.raises(UsageError, match="no result yet"):
        session.enter(r"\chart")
    session.enter("select 'a' as name, 2 as n;")
    session.enter(r"\chart")
    assert capsys.readouterr().out.startswith("name  n\na     2\nn by name\n")


def test_the_format_stays_until_it_is_changed(session: Session, capsys: Any) -> None:
    session.enter(r"\format csv")
    session.enter("select 1 as a, 2 as b;")
    assert capsys.readouterr().out == "a,b\n1,2\n"
    with pytest.raises(UsageError, match="table, csv, json, jsonl"):
        session.enter(r"\format parquet")


def test_leaving_and_staying(session: Session) -> None:
    assert [session.enter(t) for t in (r"\q", "exit", "quit;", "", r"\?")] == [
        False, False, False, True, True,
    ]  # fmt: skip
    with pytest.raises(UsageError, match=r"no command \\x"):
        session.enter(r"\x")


def test_a_description_can_be_asked_for_without_the_prompt(crp: Any) -> None:
    assert crp("sql", r"\d v_gate").stdout.startswith("Why did ORC run or not run")


# -- completion -------------------------------------------------------------------------------

CATALOG = {"jobs": ["job_id", "quality"], "v_gate": ["gate_rule", "quality"], "steps": ["item"]}


@pytest.mark.parametrize(
    ("before", "offered"),
    [
        ("select * from jo", ["jobs"]),
        ("select * from ", ["jobs", "v_gate", "steps"]),
        ("select 1 from jobs join v", ["v_gate"]),
        ("select * from jobs where qu", ["quality", "QUALIFY"]),
        ("select * from v_gate where ga", ["gate_rule"]),
        ("select * from jobs as j where j.", ["job_id", "quality"]),
        ("select * from jobs j where j.q", ["quality"]),
        ("select v_gate.g", ["gate_rule"]),
        ("sel", ["SELECT"]),
        ("select ite", ["item"]),
        ("select ", []),
        ("\\", [r"\d", r"\chart", r"\format", r"\q", r"\?"]),
        (r"\fo", [r"\format"]),
        (r"\format j", ["json", "jsonl"]),
        (r"\d st", ["steps"]),
        ("select nothing.x", []),
    ],
)
def test_what_may_stand_at_the_cursor_is_offered(before: str, offered: list[str]) -> None:
    assert complete(before, CATALOG) == offered


def test_the_catalog_has_tables_and_views_with_their_columns(session: Session) -> None:
    catalog = session.catalog()
    assert "gate_rule" in catalog["jobs"]
    assert "retry_rate" in catalog["v_retries"]


def test_the_line_editor_reads_until_a_semicolon_and_remembers(tmp_path: Path) -> None:
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    history = tmp_path / "new" / "sql_history"
    with create_pipe_input() as keys:
        terminal = make_terminal(CATALOG, history, input=keys, output=DummyOutput())
        keys.send_text("select 1\rfrom jobs;\r")
        assert terminal.prompt() == "select 1\nfrom jobs;"
        keys.send_text("\\d jobs\r")
        assert terminal.prompt() == r"\d jobs"
    assert "+select 1\n+from jobs;" in history.read_text()


@pytest.mark.parametrize(("before", "after"), [("\\fo", r"\format"), ("from jo", "from jobs")])
def test_completion_replaces_the_word_that_was_begun(
    tmp_path: Path, before: str, after: str
) -> None:
    from prompt_toolkit.document import Document

    completer = make_terminal(CATALOG, tmp_path / "history").completer
    assert completer
    found = next(iter(completer.get_completions(Document(before), None)))  # type: ignore[arg-type]
    assert before[: len(before) + found.start_position] + found.text == after


# -- publish ----------------------------------------------------------------------------------


def test_publish_writes_into_the_home_and_says_what_is_left_out(crp: Any, filled: Path) -> None:
    done = crp("traces", "publish")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{filled / 'published/snapshot.duckdb'}\n"
    assert "  jobs: task, answer" in done.stderr
    assert "  steps: step_id, needs" in done.stderr
    with duckdb.connect(done.stdout.strip(), read_only=True) as connection:
        assert connection.execute("SELECT job_id, task FROM jobs").fetchall() == [("j1", None)]


def test_publish_with_texts_and_parquet_into_a_folder(crp: Any, filled: Path) -> None:
    done = crp("traces", "publish", "here", "--with-texts", "--parquet", "--json")
    told = json.loads(done.stdout)
    assert told["emptied"] == []
    assert told["tables"]["jobs"] == 1
    assert str(Path("here/parquet/jobs.parquet").resolve()) in told["parquet"]


def test_publish_into_the_store_itself_is_refused(crp: Any, filled: Path) -> None:
    done = crp("traces", "publish", str(filled / "traces" / "x"))
    assert done.exit_code == 2
    assert "somewhere else" in done.stderr
    assert not (filled / "traces/x").exists()


QUESTIONS = {
    "select status, count(*) as n from jobs group by all": [{"status": "completed", "n": 1}],
    "select n from v_slow_steps": [],
    "select sum(jobs) > 0 as any_job, sum(cost) as cost from v_daily": [
        {"any_job": True, "cost": 0.0}
    ],
}


@pytest.mark.slow
def test_questions_and_a_snapshot_are_answered_by_the_owner_while_a_job_runs(
    cli: Any, until: Any
) -> None:
    with ModelServer(text="Lyon lies on the Rhone.") as server:
        run = ["run", "-t", "direct-question", "--base-url", server.base_url, "--model"]
        assert cli.run(*run, "behave/ok", "Where is Lyon?").returncode == 0
        running = cli.start(*run, "behave/hang", "Where is Paris?")
        until(running, "gate:")
        for query, answer in QUESTIONS.items():
            done = cli.run("sql", query, "--format", "json")
            assert json.loads(done.stdout) == answer, done.stderr
        told = json.loads(cli.run("traces", "publish", "here", "--parquet", "--json").stdout)
        assert running.poll() is None, "the job still runs"
    assert Path(told["file"]) == cli.work / "here" / "snapshot.duckdb"
    assert len(told["parquet"]) == len(told["tables"])
    with duckdb.connect(told["file"], read_only=True) as connection:
        assert connection.execute("SELECT status, answer FROM jobs").fetchall() == [
            ("completed", None)
        ]


def test_formats_are_those_of_the_help() -> None:
    assert list(Format) == ["table", "csv", "json", "jsonl", "parquet"]
