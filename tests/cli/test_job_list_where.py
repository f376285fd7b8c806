"""`crp jobs list --where`: how a condition is read, and what is found where."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import RemoveSearchAttributesRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from crp.attributes import ATTRIBUTES, SEARCH_ATTRIBUTES
from crp.client import Engine, handle, submit
from crp.config import load_settings
from crp.errors import EngineError, UsageError
from crp.local.temporal_server import command
from crp.models import Library, MetaLearningConfig, ModelProfile, Pressure, Task
from crp.plugin import CRPPlugin
from crp.request import Request
from crp.searching import register, searchable
from crp.where import all_of, equal, for_store, for_temporal, needs, parse, stored
from crp.worker import running
from crp_analytics.store import TraceStore
from tests.cli.conftest import Cli
from tests.support.model_server import ModelServer

TEMPORAL = shutil.which("temporal", path=str(Path(sys.executable).parent))

# -- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "temporal", "sql"),
    [
        (
            "template = 'comparison' and quality < 0.8",
            "(CrpTemplate = 'comparison' AND CrpQuality < 0.8)",
            "(template = 'comparison' AND quality < 0.8)",
        ),
        (
            "complexity >= 3 or (model=m AND NOT_A = b)",
            "",
            "",
        ),
        (
            "task_type = a or model = b and complexity >= 3",
            "(CrpTaskType = 'a' OR (CrpModel = 'b' AND CrpComplexity >= 3))",
            "(task_type = 'a' OR (model_name = 'b' AND complexity >= 3))",
        ),
        (
            "(task_type = a or model = b) and complexity >= 3",
            "((CrpTaskType = 'a' OR CrpModel = 'b') AND CrpComplexity >= 3)",
            "((task_type = 'a' OR model_name = 'b') AND complexity >= 3)",
        ),
        (
            "STATUS in (completed, 'incomplete')",
            "CrpStatus IN ('completed', 'incomplete')",
            "status IN ('completed', 'incomplete')",
        ),
        (
            'job_id starts with "tea"',
            "WorkflowId STARTS_WITH 'tea'",
            "starts_with(job_id, 'tea')",
        ),
        (
            "submitted_at > 2026-11-23T10:00:00+02:00",
            "StartTime > '2026-11-23T08:00:00Z'",
            "submitted_at > '2026-11-23T08:00:00Z'",
        ),
        ("template <> 'it''s'", "CrpTemplate != 'it''s'", "template != 'it''s'"),
        ("template = 'a\\b'", r"CrpTemplate = 'a\\b'", r"template = 'a\b'"),
    ],
)
def test_a_condition_is_a_filter_of_temporal_and_sql_of_the_store(
    text: str, temporal: str, sql: str
) -> None:
    if not temporal:
        with pytest.raises(UsageError, match="jobs can not be listed by 'NOT_A'"):
            parse(text)
        return
    condition = parse(text)
    assert for_temporal(condition) == temporal
    assert for_store(condition) == sql


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tempate = x", 'did you mean "template"?'),
        ("cost > 3", "there are task_type, template"),
        ("quality < good", "quality is a number, not 'good'"),
        ("quality = nan", "quality is a number"),
        ("complexity = 2.5", "complexity is a number"),
        ("submitted_at > yesterday", "a time such as"),
        ("quality", "after quality comes one of"),
        ("quality <", "a value for quality is missing"),
        ("template > x", "use =, !=, in or starts with"),
        ("quality starts with 0", "is no text"),
        ("(quality < 1", "')' is missing"),
        ("status in failed", "comes a list"),
        ("status in (failed", "')' is missing"),
        ("quality < 1 template = x", "'and' or 'or' was expected before 'template'"),
        ("quality < 1 and", "it ends too early"),
        ("template = 'x", "can not be read"),
        ("", "it ends too early"),
        ("template = x; drop table jobs", "'and' or 'or' was expected"),
        ("(" * 5000 + "quality < 1", "deeper than anybody reads"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_and_how(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", ["' or 1=1 --", "\\' or 1=1 --", "x'; drop table jobs; --", "''"])
def test_a_value_stays_a_value(value: str) -> None:
    condition = equal("template", value)
    with TraceStore.in_memory() as store:
        assert store.sql(f"select * from jobs where {for_store(condition)}").rows == ()
    literal = for_temporal(condition).removeprefix("CrpTemplate = ")
    assert literal[1:-1].replace("\\\\", "\\").replace("''", "'") == value


@pytest.mark.parametrize("status", ["running", "failed", "cancelled"])
def test_what_every_temporal_knows_needs_no_search_attribute(status: str) -> None:
    assert not needs(parse(f"status = {status} and job_id starts with tea"))
    assert needs(parse(f"status in ({status}, completed)"))


def test_everything_that_can_be_asked_is_a_column_of_the_store_but_the_batch() -> None:
    with TraceStore.in_memory() as store:
        query = "select column_name from duckdb_columns() where table_name = 'jobs'"
        there = {row[0] for row in store.sql(query).rows}
    without = {name for name, a in ATTRIBUTES.items() if a.store not in there}
    assert without == {"batch"}
    assert not stored(parse("quality < 1 and batch = b"))


def test_no_text_of_a_task_is_a_search_attribute_and_the_embedded_server_gets_them_all() -> None:
    assert "CrpTask" not in SEARCH_ATTRIBUTES
    words = command(Path("temporal"), load_settings(), 1, 2)
    given = [words[n + 1] for n, word in enumerate(words) if word == "--search-attribute"]
    assert given == [f"{name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()]


def test_shortcuts_and_a_condition_are_joined() -> None:
    both = all_of(equal("status", "failed"), None, parse("quality < 1 or quality > 2"))
    assert both is not None
    assert for_store(both) == "(status = 'failed' AND (quality < 1.0 OR quality > 2.0))"
    assert all_of(None) is None


# -- a server that does not know us -----------------------------------------------------------


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Client]:
    """A Temporal without our search attributes."""
    if TEMPORAL is None:
        pytest.skip("no temporal binary in this environment")
    plugin = CRPPlugin()
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=TEMPORAL, plugins=[plugin]
    ) as server:
        yield server.client


@pytest.mark.slow
async def test_registering_happens_once_and_only_what_is_missing(bare: Client) -> None:
    assert not await searchable(bare)
    assert await register(bare) == sorted(SEARCH_ATTRIBUTES)
    assert await register(bare) == []
    async with asyncio.timeout(30):
        while not await searchable(bare):  # noqa: ASYNC110 - what it waits for is elsewhere
            await asyncio.sleep(0.2)


@pytest.mark.slow
async def test_an_attribute_of_another_kind_is_one_line_with_the_way_out(bare: Client) -> None:
    await register(bare)
    remove = RemoveSearchAttributesRequest(
        namespace=bare.namespace, search_attributes=["CrpQuality"]
    )
    await bare.operator_service.remove_search_attributes(remove)
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest

    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    wrong = AddSearchAttributesRequest(
        namespace=bare.namespace, search_attributes={"CrpQuality": keyword}
    )
    await bare.operator_service.add_search_attributes(wrong)
    with pytest.raises(EngineError, match=r"CrpQuality is there as Keyword, and jobs need Double"):
        await register(bare)


@pytest.mark.slow
async def test_a_job_runs_on_a_server_without_our_attributes_and_sets_none(
    bare: Client, tmp_path: Path
) -> None:
    settings = load_settings(tmp_path / "home")
    with ModelServer(text="Lyon lies on the Rhone.") as server:
        profile = ModelProfile(alias="adhoc", name="m", base_url=server.base_url, capability=1)
        request = Request(
            task=Task(text="Where is Lyon?", pressure=Pressure.NONE),
            config=MetaLearningConfig(enabled=False),
            models={"default": profile},
            library=_box(),
        )
        async with running(settings, bare, "all"):
            engine = Engine(settings, bare, print)
            job_id = await submit(engine, request)
            result = await asyncio.wait_for(handle(engine, job_id).result(), 60)
    assert result.status == "completed"
    found = await bare.get_workflow_handle(job_id).describe()
    ours = [p.key.name for p in found.typed_search_attributes if p.key.name.startswith("Crp")]
    assert ours == []


def _box() -> Library:
    from crp.templates import find_library

    return find_library().library


# -- on a real engine -------------------------------------------------------------------------


ENDED = ["where-metz", "where-lyon"]


@pytest.fixture(scope="module")
def asked(cli: Cli) -> Iterator[Cli]:
    """Two jobs that ended, one well and one not, and one that runs."""
    with ModelServer(text="Lyon lies on the Rhone.") as server:

        def words(task: str, model: str) -> list[str]:
            where = ["--base-url", server.base_url, "--model", model]
            return ["run", task, "-t", "direct-question", *where]

        assert cli.run(*words("Where is Lyon?", "good-model")).returncode == 0
        assert cli.run(*words("Where is Metz?", "behave/status:400")).returncode != 0
        cli.start(*words("Where is Nice?", "behave/hang"))
        deadline = time.monotonic() + 60
        while not ids(cli, "--status", "running", "--template", "direct-question"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield cli


def ids(cli: Cli, *words: str) -> list[str]:
    done = cli.run("jobs", "list", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [row["job_id"].rsplit("-", 1)[0] for row in json.loads(done.stdout)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--where", "template = 'direct-question' and quality > 0.8"], ["where-lyon"]),
        (["--where", "quality < 0.8"], []),
        (["--model", "good-model"], ["where-lyon"]),
        (["--status", "failed"], ["where-metz"]),
        (["--status", "running", "--template", "direct-question"], ["where-nice"]),
        (["--running", "--where", "model = 'behave/hang'"], ["where-nice"]),
        (["-t", "direct-question"], ["where-nice", "where-metz", "where-lyon"]),
        (["-t", "comparison"], []),
        (
            ["--where", "complexity = 1 and status in (failed, completed)"],
            ["where-metz", "where-lyon"],
        ),
        (["--where", "submitted_at < 2020-01-01"], []),
        (["--where", "batch = autumn"], []),
    ],
)
def test_jobs_are_found_while_they_run_and_when_they_have_ended(
    asked: Cli, words: list[str], found: list[str]
) -> None:
    assert ids(asked, *words) == found


@pytest.mark.slow
def test_when_the_engine_is_down_the_finished_jobs_are_still_found(asked: Cli) -> None:
    asked.run("down")
    assert ids(asked, "--where", "status = failed or quality > 0.8") == ENDED


@pytest.mark.slow
def test_setting_up_the_embedded_server_finds_nothing_to_do(asked: Cli) -> None:
    done = asked.run("temporal", "setup", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"registered": [], "there": sorted(SEARCH_ATTRIBUTES)}


def test_a_wrong_condition_ends_with_exit_code_2_and_one_line(crp) -> None:  # type: ignore[no-untyped-def]
    done = crp("jobs", "list", "--where", "tempate = x")
    assert done.exit_code == 2
    assert 'did you mean "template"?' in done.output
    assert "Traceback" not in done.output
