"""Tasks of a batch, read from files: what is right is read, what is wrong is told, all at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crp.batching.tasks_file import expand, read_tasks, tasks_about
from crp.errors import NotFound, UsageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(folder: Path, *records: object, name: str = "tasks.jsonl") -> Path:
    path = folder / name
    texts = [r if isinstance(r, str) else json.dumps(r) for r in records]
    path.write_text("\n".join(texts), "utf-8")
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(UsageError) as caught:
        read_tasks([path])
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_a_line_has_a_task_and_whatever_else_a_job_takes(folder: Path) -> None:
    (folder / "facts.md").write_text("Tea is a leaf.")
    path = lines(
        folder,
        {"id": "a", "task": "Compare", "template": "comparison", "input": {"items": ["x", "y"]}},
        {"id": 7, "task": "Ask", "context_file": "facts.md", "model": "big"},
    )
    one, two = read_tasks([path])
    assert (one.id, one.template, one.inputs) == ("a", "comparison", {"items": ["x", "y"]})
    assert one.task().text == "Compare"
    assert (two.id, two.model, two.task().context) == ("7", "big", "Tea is a leaf.")
    assert two.place == "tasks.jsonl:2"


def test_a_context_file_is_looked_for_beside_the_tasks(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "facts.md").write_text("Beside.")
    path = lines(folder / "sub", {"task": "Ask", "context_file": "facts.md"})
    assert read_tasks([path])[0].task().context == "Beside."


def test_csv_has_columns_of_the_same_names_and_an_empty_cell_is_nothing(folder: Path) -> None:
    path = folder / "tasks.csv"
    path.write_text(
        'id,task,template,input.items,context\n1,"Compare\nthese",,"tea, coffee",\n2,Ask,t,,facts\n'
    )
    one, two = read_tasks([path])
    assert (one.text, one.inputs, one.template) == ("Compare\nthese", {"items": "tea, coffee"}, "")
    assert (two.inputs, two.template, two.context) == ({}, "t", "facts")
    assert two.place == "tasks.csv:4"  # the record before it has two lines


@pytest.mark.parametrize("text", ["id;task\n1;Ask\n", "\ufeffid,task\n1,Ask\n", "id,task\r\n1,Ask"])
def test_csv_is_read_as_spreadsheets_write_it(folder: Path, text: str) -> None:
    path = folder / "tasks.csv"
    path.write_text(text, "utf-8")
    assert [(t.id, t.text) for t in read_tasks([path])] == [("1", "Ask")]


def test_every_mistake_is_told_with_its_line_and_nothing_is_read(folder: Path) -> None:
    path = lines(
        folder,
        {"id": "a", "task": "Fine"},
        "{not json",
        "",
        ["a list"],
        {"id": "b", "tsk": "Ask"},
        {"id": "a", "task": "Again"},
        {"id": "c"},
        {"id": "d", "task": "x", "context": "y", "context_file": "z"},
        {"id": "e", "task": "x", "context_file": "nowhere.md"},
        {"id": "f", "task": 5},
        {"id": "g", "task": "x", "input": ["a"]},
        '{"id": "h", "task": "x", "input": {"n": NaN}}',
        '{"id": "i", "task": "half \\ud800"}',
    )
    told = problems(path)
    starts = [line.split(": ", 1)[0] for line in told]
    assert starts == [f"tasks.jsonl:{n}" for n in (2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)]
    assert 'did you mean "task"' in told[2]
    assert "stands at tasks.jsonl:1 already" in told[3]
    assert "nowhere.md" in told[6]


def test_bytes_that_are_not_utf8_and_broken_csv_have_their_line(folder: Path) -> None:
    path = folder / "tasks.jsonl"
    path.write_bytes(b'{"task": "a"}\n{"task": "\xff"}\n')
    assert problems(path)[0].startswith("tasks.jsonl:2: not UTF-8")
    table = folder / "tasks.csv"
    table.write_text('id,task\n1,Ask\n2,"never closed\n')
    assert problems(table)[0].startswith("tasks.csv:3: not CSV")
    table.write_text("id,task\n1,Ask,more\n")
    assert "3 cells, and there are 2 columns" in problems(table)[0]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"id": ' + "1" * 5000 + ', "task": "a"}', "too many digits"),
        ('{"task": "a", "input": {"items": ["\\ud800"]}}', "half a character"),
        ('{"task": "a", "input": {"n": 1e999}}', "a number that JSON can not say"),
    ],
    ids=["digits", "surrogate", "infinite"],
)
def test_what_no_job_could_carry_is_a_mistake_of_its_line(
    folder: Path, line: str, told: str
) -> None:
    (problem,) = problems(lines(folder, line))
    assert problem.startswith("tasks.jsonl:1: ")
    assert told in problem


def test_thousands_of_mistakes_are_counted_and_the_first_ones_told(folder: Path) -> None:
    told = problems(lines(folder, *["{"] * 1000))
    assert len(told) == 41
    assert told[-1] == "and 960 more"


def test_what_does_not_fit_the_settings_is_a_mistake_of_its_line(folder: Path) -> None:
    def fit(task):  # type: ignore[no-untyped-def]
        if task.template:
            raise NotFound(f"no template {task.template!r}")
        return task

    path = lines(folder, {"task": "a"}, {"task": "b", "template": "nothing"}, "{")
    with pytest.raises(UsageError, match=r"(?s)jsonl:2: no template 'nothing'.*jsonl:3: not JSON"):
        read_tasks([path], fit)


def test_without_an_id_a_task_has_one_that_stays_when_lines_are_moved(folder: Path) -> None:
    first = [t.id for t in read_tasks([lines(folder, {"task": "Ask"}, {"task": "Tell"})])]
    again = [t.id for t in read_tasks([lines(folder, {"task": "Tell"}, {"task": "Ask"})])]
    assert first == again[::-1]
    assert len(set(first)) == 2


def test_the_same_is_asked_of_every_file(folder: Path) -> None:
    for name in ("a.md", "b.md", "c.txt"):
        (folder / name).write_text(f"text of {name}")
    (folder / "bad.md").write_bytes(b"\xff\xfe\x00")
    tasks = tasks_about("Summarise", expand(["[ab].md", "c.txt"]))
    assert [(t.id, t.text, t.task().context) for t in tasks] == [
        (n, "Summarise", f"text of {n}") for n in ("a.md", "b.md", "c.txt")
    ]
    with pytest.raises(UsageError, match="not UTF-8"):
        tasks_about("Summarise", ["a.md", "bad.md"])
    with pytest.raises(NotFound, match="no file fits"):
        expand(["*.none"])


def test_the_results_of_an_earlier_run_are_no_task(folder: Path) -> None:
    (folder / "a.jsonl").write_text("x")
    (folder / "out.jsonl").write_text("x")
    assert expand(["*.jsonl"], but=Path("out.jsonl")) == ["a.jsonl"]


def test_a_file_that_was_changed_while_the_batch_ran_is_not_asked_about(folder: Path) -> None:
    (folder / "a.md").write_text("before")
    (task,) = tasks_about("Summarise", ["a.md"])
    (folder / "a.md").write_text("after")
    with pytest.raises(UsageError, match="was changed"):
        task.task()


def test_a_file_without_tasks_is_an_error(folder: Path) -> None:
    with pytest.raises(UsageError, match="no tasks"):
        read_tasks([lines(folder, "", "")])
    with pytest.raises(NotFound):
        read_tasks(["nowhere.jsonl"])
