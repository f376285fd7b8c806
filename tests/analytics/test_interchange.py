"""The library as a file: what is written reads back, and bad entries cost no good ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crp.errors import UsageError
from crp.models import ReasoningTrace
from crp_analytics.interchange import read, write
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, trace

Dump = Callable[[TraceStore], dict[str, list[str]]]


def traces(text: str) -> list[ReasoningTrace]:
    contents = read(text)
    assert contents.bad == ()
    return [numbered.trace for numbered in contents.traces]


@pytest.fixture
def two() -> list[ReasoningTrace]:
    return [trace("compare tea and coffee"), trace("é 日本 \x00 </script>", usage_count=3)]


def test_what_is_written_reads_back_the_same(two: list[ReasoningTrace]) -> None:
    assert traces(write(two)) == two


def test_the_format_is_that_of_to_dict(two: list[ReasoningTrace]) -> None:
    assert json.loads(write(two)) == {"traces": [t.to_dict() for t in two]}
    assert set(two[0].to_dict()) == {
        *("trace_id", "task_type", "task_summary", "steps", "model_class"),
        *("quality_score", "created_at", "usage_count"),
    }


@pytest.mark.parametrize(
    "form",
    [
        lambda data: json.dumps(data),
        lambda data: json.dumps({"format": 1, "config": {}, "traces": data}),
        lambda data: "\ufeff" + json.dumps(data, indent=2),
        lambda data: "\n".join(map(json.dumps, data)),
        lambda data: "\r\n\r\n".join(map(json.dumps, data)) + "\r\n",
    ],
    ids=["list", "engine", "byte order mark", "lines", "windows lines"],
)
def test_every_form_of_a_library_is_read(form: Any, two: list[ReasoningTrace]) -> None:
    assert traces(form([t.to_dict() for t in two])) == two


def test_one_line_of_json_lines_is_a_library(two: list[ReasoningTrace]) -> None:
    assert traces(json.dumps(two[0].to_dict()) + "\n") == two[:1]


def test_an_empty_library_is_one() -> None:
    assert traces('{"traces": []}') == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"quality_score": 1.5}, "quality_score: "),
        ({"quality_score": math.nan}, "quality_score: "),
        ({"created_at": math.inf}, "created_at: not a time"),
        ({"usage_count": -1}, "usage_count: "),
        ({"steps": []}, "steps: empty"),
        ({"steps": [{"scaffold_level": 9}]}, "steps.0.scaffold_level: "),
        ({"task_summary": ""}, "task_summary: empty"),
        ({"trace_id": ""}, "trace_id: empty"),
    ],
)
def test_a_bad_entry_is_named_with_its_number_and_left_out(
    two: list[ReasoningTrace], change: dict[str, Any], why: str
) -> None:
    data = [two[0].to_dict(), {**two[1].to_dict(), **change}, 7]
    contents = read(json.dumps(data))
    assert [numbered.trace for numbered in contents.traces] == two[:1]
    assert contents.bad[0].startswith(f"entry 2: {why}")
    assert contents.bad[1] == "entry 3: not an object but a int"


def test_a_torn_line_costs_only_itself(two: list[ReasoningTrace]) -> None:
    first, second = (json.dumps(t.to_dict()) for t in two)
    contents = read(f"{first}\n{second[:50]}\n{second}")
    assert [numbered.place for numbered in contents.traces] == ["line 1", "line 3"]
    assert contents.bad[0].startswith("line 2: not JSON: ")


@pytest.mark.parametrize("text", ["", "hello", "7", '{"a": 1}', "[" * 100_000, '{"traces": 5}'])
def test_what_is_no_library_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="this is no library"):
        read(text)


# -- into a store ----------------------------------------------------------------------------------


def test_importing_twice_adds_nothing_twice(
    store: TraceStore, two: list[ReasoningTrace], dump: Dump
) -> None:
    assert store.desk.add_all(two) == ["", ""]
    before = dump(store)
    assert all("already" in why for why in store.desk.add_all(two))
    assert dump(store) == before


def test_the_same_trace_twice_in_a_file_is_added_once(store: TraceStore) -> None:
    other = trace("the same", trace_id="other")
    said = store.desk.add_all([trace("the same", trace_id="one"), other])
    assert said == ["", "an identical trace is in the library already: one"]


def test_an_import_is_one_write(directory: Path, two: list[ReasoningTrace]) -> None:
    with TraceStore.open(directory) as store:
        store.desk.add_all([trace("known")])
        bad = trace("bad").model_copy(update={"created_at": math.nan})
        with pytest.raises(Exception, match="can not be kept"):
            store.desk.add_all([*two, bad])
        assert [t.task_summary for t in store.traces()] == ["known"]
        assert store.desk.add_all(two) == ["", ""], "nothing of it is remembered either"


def test_uses_that_a_trace_had_elsewhere_still_count(store: TraceStore) -> None:
    store.desk.add_all([trace(usage_count=5)])
    store.retrieve("j1", "compare React", **RETRIEVE)
    assert [t.usage_count for t in store.traces()] == [6]
    assert traces(write(store.traces()))[0].usage_count == 6
