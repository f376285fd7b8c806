"""The benchmarks measure what they say: items that can be read, scores that can be right and wrong.

No model is asked and no time is measured here.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import crp_analytics
from bench import corpus, report, store_peers, store_records, store_rows
from bench.cli import app
from bench.items import Item, ItemFile, load_items, read_items
from bench.live import Live, Try, key_of, missing, tries
from bench.model import Bench, Choice, Model, Watched, config_of, profile_of
from bench.python_runner import code_of, passes
from bench.results import add_line, read_lines
from bench.scoring import score
from bench.speed import PROMPT, Speed
from bench.stats import holm, interval, sign_flip
from crp.blobs import BlobStore
from crp.errors import ModelUnavailable, NotFound, TemplateError
from crp.language.load import load
from crp.models import Completion, Library
from crp.templates import pinned
from crp_activities.answers import AnswerJournal
from crp_activities.dispatch import Models
from crp_activities.providers import ModelRequest
from crp_activities.tools import Tools
from crp_analytics.store import TraceStore

FILES = {file.template: file for file in load_items()}


def item(template: str, name: str) -> Item:
    return next(i for i in FILES[template].items if i.name == name)


# -- items ------------------------------------------------------------------------------------


def test_there_are_eighteen_kinds_with_ten_tasks_each() -> None:
    assert len(FILES) == 18
    assert {name: len(file.items) for name, file in FILES.items() if len(file.items) < 10} == {}


@pytest.mark.parametrize("name", FILES)
def test_no_task_stands_twice_and_nonsense_scores_low(name: str) -> None:
    items = FILES[name].items
    assert len({i.question_sha256 for i in items}) == len(items)
    nonsense = "The weather was nice on that day, and everybody went home early."
    assert all(score(i, nonsense).value <= 0.45 for i in items)


def test_a_mistake_in_a_file_of_items_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("template: x\nitems:\n  one:\n    task: Say it.\n    checks: [wrds: 3]\n")
    with pytest.raises(TemplateError, match=r"broken.yaml:5:14: .*wrds"):
        read_items(path)


def test_a_name_without_items_is_not_found() -> None:
    with pytest.raises(NotFound, match="comparison"):
        load_items(("compare",))


# -- scores -----------------------------------------------------------------------------------

RIGHT = {
    ("direct-question", "year of the ferry"): "It began to run in 1927.",
    ("direct-question", "frozen water"): "Water freezes at 0 degrees Celsius.",
    ("comparison", "two kettles"): (
        "The kettle Zeno holds 1.7 litres, boils in 205 seconds and weighs 1,340 grams. The kettle "
        "Quillon is smaller: its volume is 1.2 litres, it boils in 160 seconds, and its weight is "
        "980 grams. So Zeno has more volume, and Quillon has the shorter boiling time."
    ),
    ("decision", "supplier"): (
        "Millbrook. With price 3, taste 5 and delivery 2 it gets 73 points, more than the other "
        "two, since its taste has 9 points and taste counts most."
    ),
    ("multi-hop-question", "ship's captain"): "The captain, Ruben Aldiss, was 37 years old.",
    ("fact-check", "lighthouse"): "1. TRUE\n2. FALSE, it is 43 metres high.\n3. TRUE",
    ("fact-check", "one claim"): "FALSE. Orr holds 61 million cubic metres and Finn 74 million.",
    ("extraction", "car sale"): (
        "model: Vireo Estate\nyear: 2016\nmileage: 118,000 kilometres\nprice: 5,400 crowns\n"
        "fault: The air conditioning does not work"
    ),
    ("classification", "support 1"): "billing",
    ("classification", "urgency"): "High. There is a smell of gas.",
    ("math-word-problem", "juice"): "13.5 + 15 = 28.5, and 54 - 28.5 = 25.5 litres.",
    ("write-code", "minutes"): (
        "```python\ndef clock(minutes):\n    return f'{minutes // 60:02}:{minutes % 60:02}'\n```"
    ),
    ("find-bug", "sum starts at one"): (
        "The line `result = 1` is wrong: the sum begins with one and is therefore one too large. "
        "It must be `result = 0`, so that only the numbers count."
    ),
    ("rewrite", "shorter notice"): (
        "The lift in house B is out of order on Tuesday, 12 March, from 8:00 to 15:30 because of "
        "maintenance. Please use the stairs or the lift in house A."
    ),
    ("ideas", "use of jars"): (
        "1. Put a candle into a jar\n2. Grow herbs on the window sill\n3. Keep buttons in it\n"
        "4. Give home-made soap as a gift\n5. Mix salad sauce for a picnic"
    ),
}


@pytest.mark.parametrize(("template", "name"), RIGHT)
def test_a_right_answer_gets_nearly_everything(template: str, name: str) -> None:
    found = score(item(template, name), RIGHT[template, name])
    assert found.value >= 0.9, found.missed


def test_a_wrong_answer_gets_less_than_a_right_one_and_an_empty_one_nothing() -> None:
    kettles = item("comparison", "two kettles")
    right = RIGHT["comparison", "two kettles"]
    assert score(kettles, right.replace("205", "999")).value < score(kettles, right).value
    assert score(kettles, "  ").value == 0


def test_a_guard_is_the_most_that_an_answer_can_get() -> None:
    kettles = item("comparison", "two kettles")
    assert score(kettles, RIGHT["comparison", "two kettles"], "length").value == 0.5


def test_the_option_that_is_named_first_is_the_choice() -> None:
    printer = item("decision", "printer")
    right = "Marden. It has the highest sum of the ratings, 23, before the other two printers."
    wrong = "Zolk. It has the highest sum of the ratings, 18, before Marden and the other one."
    assert score(printer, right).value > 0.8 > 0.5 > score(printer, wrong).value


# -- code -------------------------------------------------------------------------------------


def test_code_is_found_with_and_without_a_fence() -> None:
    code = "def f(n):\n    return n + 1"
    assert code_of(f"Here it is:\n```python\n{code}\n```\nDone.") == f"{code}\n"
    assert code_of(f"Sure!\n{code}\nThis adds one to n, you see.") == code
    assert code_of("There is no code here.") == ""


def test_each_example_is_tried_by_itself() -> None:
    assert passes("def f(n):\n    return 4", ["f(2) == 4", "f(3) == 9", "g(1)"]) == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "code",
    [
        "import os\ndef f(n):\n    return 1",
        "def f(n):\n    open('x', 'w')\n    return 1",
        "def f(n):\n    return ().__class__ and 1",
        "def f(n):\n    while True: pass",
        "def f(n):\n    return len('x' * 10**10) > 0",
    ],
)
def test_code_that_wants_more_than_computing_fails(code: str) -> None:
    assert passes(code, ["f(1) == 1"]) == [False]


# -- figures ----------------------------------------------------------------------------------


def test_the_interval_holds_the_mean_and_is_the_same_each_time() -> None:
    values = [0.1, 0.5, 0.4, 0.9, 0.2]
    low, high = interval(values)
    assert low < sum(values) / 5 < high
    assert interval(values) == (low, high)


def test_the_p_of_ten_equal_gains_is_two_patterns_of_all() -> None:
    assert sign_flip([0.2] * 10) == 2 / 2**10
    assert sign_flip([0.2, -0.2]) == 1.0
    assert sign_flip([0.0, 0.0]) == 1.0


def test_holm_corrects_the_smallest_most_and_keeps_the_order() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == {"a": 0.03, "c": 0.06, "b": 0.06}


# -- results ----------------------------------------------------------------------------------


def test_a_torn_line_is_left_out_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    add_line(path, {"n": 1})
    with path.open("a") as file:
        file.write('{"n": 2, "te')
    add_line(path, {"n": 3})
    assert read_lines(path) == [{"n": 1}, {"n": 3}]


class Scripted:
    """Answers every request alike, counts them, and may stop answering."""

    def __init__(self, text: str, fails_at: int = 0) -> None:
        self.text, self.fails_at, self.calls = text, fails_at, 0

    async def complete(self, request: ModelRequest) -> Completion:
        self.calls += 1
        if self.calls == self.fails_at:
            raise ModelUnavailable("nobody is there")
        return Completion(text=self.text, prompt_tokens=10, completion_tokens=5)


TEMPLATE = """template: direct-question
match: [which]
steps:
  reply: "Answer in one sentence: {{ task }}"
"""


def scripted(folder: Path, script: Scripted) -> tuple[Live, list[Try]]:
    source, _ = pinned(TEMPLATE)
    library = Library(templates=(source,))
    provider = Watched(script)
    tools = Tools(
        Models.of({"default": provider}), AnswerJournal(folder / "a"), BlobStore(folder / "b")
    )
    profile = profile_of(Choice(name="scripted"))
    stages = Bench(tools, TraceStore.in_memory(), pauses=())
    model = Model(profile, config_of(profile), provider, stages)
    file = ItemFile("direct-question", FILES["direct-question"].items[:2])
    return Live(model, library, folder / "r.jsonl"), tries([file], library)


async def test_both_arms_are_asked_and_scored_and_what_is_there_is_not_asked_again(
    tmp_path: Path,
) -> None:
    script = Scripted("The ferry began to run in 1927.")
    live, wanted = scripted(tmp_path, script)
    await live.run(wanted)
    lines = read_lines(live.path)
    assert [(line["arm"], line["item"]) for line in lines] == [
        (arm, name)
        for name in ("year of the ferry", "keeper of the seeds")
        for arm in ("direct", "template")
    ]
    assert lines[0]["score"] == lines[1]["score"] == 1.0
    assert lines[0]["calls"] == lines[1]["calls"] == 1
    asked = script.calls
    await live.run(live.open(wanted))
    assert (script.calls, len(read_lines(live.path))) == (asked, len(wanted))


async def test_the_best_of_several_costs_what_all_of_them_cost(tmp_path: Path) -> None:
    live, _ = scripted(tmp_path, Scripted("In 1927."))
    ferry = FILES["direct-question"].items[0]
    await live.run([Try("direct-question", ferry, "best of 3")])
    (line,) = read_lines(live.path)
    assert (line["calls"], line["tokens"]) == (3, 45)


async def test_a_server_that_does_not_answer_ends_the_run_and_is_no_result(tmp_path: Path) -> None:
    live, wanted = scripted(tmp_path, Scripted("In 1927.", fails_at=2))
    with pytest.raises(ModelUnavailable):
        await live.run(wanted)
    assert [line["arm"] for line in read_lines(live.path)] == ["direct"]
    await live.run(live.open(wanted))
    assert len(read_lines(live.path)) == len(wanted)


async def test_the_table_says_which_template_does_not_beat_the_direct_answer(
    tmp_path: Path,
) -> None:
    live, wanted = scripted(tmp_path, Scripted("The ferry began to run in 1927."))
    await live.run(wanted)
    (row,) = report.compare(wanted, read_lines(live.path), live.model.profile)
    assert (row.items, row.lift, row.p) == (2, 0.0, 1.0)
    assert "does not beat" in report.live_cells([row])[0][-1]


def test_another_template_text_is_another_result() -> None:
    ferry = FILES["direct-question"].items[0]
    old, _ = pinned(TEMPLATE)
    new, _ = pinned(TEMPLATE + "# changed\n")
    before, after = (Try("direct-question", ferry, "template", s) for s in (old, new))
    profile = profile_of(Choice(name="m"))
    line = {"template": "direct-question", "arm": "template", "model": "m", "capability": 0}
    line |= {"item_sha256": ferry.sha256, "template_sha256": old.sha256}
    assert key_of(line) == before.key(profile)
    assert missing([before, after], [line], profile) == [after]


def test_the_docs_get_the_table_between_their_marks_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- x -->\nold\n<!-- end of x -->\nafter\n")
    report.write_docs("x", report.markdown(["a", "b"], [["1", ""]], "Under."), page)
    assert page.read_text() == (
        "before\n<!-- x -->\n\n| a | b |\n| --- | --- |\n| 1 |   |\n\nUnder.\n\n"
        "<!-- end of x -->\nafter\n"
    )
    with pytest.raises(ValueError, match="no <!-- y -->"):
        report.write_docs("y", "text", page)


def test_the_page_of_the_docs_has_both_places_for_tables() -> None:
    text = report.DOCS.read_text("utf-8")
    for mark in ("bench templates", "bench templates --live"):
        assert text.count(f"<!-- {mark} -->") == text.count(f"<!-- end of {mark} -->") == 1


# -- speed ------------------------------------------------------------------------------------


def test_the_variants_are_templates_and_share_no_prompt() -> None:
    first, second = (load(t, "v.yaml") for t in corpus.variants(corpus.LARGE.read_text(), 2))
    assert first.template != second.template
    pairs = zip(first.steps, second.steps, strict=True)
    assert not [a.id for a, b in pairs if a.text == b.text or (a.when and a.when == b.when)]
    assert not {e.ask for e in first.extract} & {e.ask for e in second.extract}


def test_a_hundred_small_templates_have_words_of_their_own() -> None:
    templates = [load(corpus.small(number), "small.yaml") for number in range(100)]
    assert len({t.match.keywords for t in templates}) == 100


def test_every_figure_has_a_row_and_only_peers_have_a_ratio() -> None:
    rows = Speed(texts=5).run()
    assert {row.name for row in rows if row.target} == {"load", "lint", "match", "render"}
    assert {row.name for row in rows if row.ratio} == {"pyyaml", "pyyaml-c", "ruamel"}
    assert "{{ item }}" in PROMPT


def test_a_figure_can_be_chosen_and_written_as_json(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    done = CliRunner().invoke(app, ["templates", "--only", "render", "--json", str(file)])
    assert done.exit_code == 0, done.output
    assert {row["name"] for row in json.loads(file.read_text())["rows"]} == {
        "render",
        "render-first",
    }


def test_a_figure_that_there_is_not_is_refused() -> None:
    assert CliRunner().invoke(app, ["templates", "--only", "rendr"]).exit_code == 2


# -- the store --------------------------------------------------------------------------------


def test_every_job_of_the_store_bench_has_45_rows_and_another_text() -> None:
    rows = store_rows.rows(store_records.record(7))
    assert sum(map(len, rows.values())) == 1 + 6 + 8 + 30
    assert store_records.record(7) == store_records.record(7)
    assert store_records.record(7).job.task != store_records.record(8).job.task


@pytest.mark.parametrize("name", store_peers.PEERS)
def test_every_way_lands_what_two_writers_bring(name: str, tmp_path: Path) -> None:
    figures = store_peers.land(tmp_path, name, writers=2, jobs=12)
    assert figures["jobs"] == len(figures["waits"]) == 12
    assert 0 < figures["readable"] <= figures["acknowledged"]


def test_batches_library_entries_and_a_rebuild_are_measured(tmp_path: Path) -> None:
    for name in ("batches", "library", "rebuild"):
        (tmp_path / name).mkdir()
    assert len(store_peers.batches(tmp_path / "batches", "trace store", 12)["waits"]) == 1
    assert store_peers.library(tmp_path / "library", 12)["jobs"] == 12
    assert store_peers.rebuild(tmp_path / "rebuild", 12)["jobs"] == 12


def test_every_view_is_timed_on_a_store_that_sql_made(tmp_path: Path) -> None:
    file, kept = tmp_path / "out.json", tmp_path / "results.jsonl"
    words = ["store", "--only", "views", "--size", "60", "--runs", "1"]
    done = CliRunner().invoke(app, [*words, "--results", str(kept), "--json", str(file)])
    assert done.exit_code == 0, done.output
    (size,) = json.loads(file.read_text())["views"]
    shipped = (Path(crp_analytics.__file__).parent / "views").glob("*_*.sql")
    assert len(size["views"]) == len(list(shipped)) - 1, "one of them has the intervals"
    empty = {name for name, view in size["views"].items() if not view["rows"]}
    assert empty <= {"v_curation"}, "60 jobs are not curated"
    assert len(read_lines(kept)) == 1


def test_a_part_of_the_store_bench_that_there_is_not_is_refused() -> None:
    assert CliRunner().invoke(app, ["store", "--only", "vews"]).exit_code == 2
