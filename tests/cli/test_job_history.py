"""The past of a job: every event has a sentence, and folding them gives what the record says."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crp.cli.lines import hint_of, line_of
from crp.jobs_past import Past, past
from crp.models import Attempt, Event, JobStatus, Plan, PlannedStep, StepRecord, StepStatus, Usage
from crp_analytics.store import TraceStore
from crp_workflows.ledger import Ledger
from tests.analytics.samples import record, result
from tests.workflows.jobs import ADVICE, GOOD, Bench

WORKFLOWS = Path(__file__).parents[2] / "workflows" / "crp_workflows"


# -- sentences -------------------------------------------------------------------------------------


def kinds_said() -> set[str]:
    """Every kind of event that the code says, with what its f-strings may hold."""
    found = set[str]()
    for path in WORKFLOWS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "say":
                found.update(_kinds(node.args[0]))
    return found


def _kinds(said: ast.expr) -> Iterator[str]:
    if isinstance(said, ast.Constant):
        yield str(said.value)
    elif isinstance(said, ast.JoinedStr) and isinstance(said.values[0], ast.Constant):
        begin = str(said.values[0].value)
        words = {"job.": get_args(JobStatus), "step.": get_args(StepStatus)}
        yield from (f"{begin}{word}" for word in words[begin])


def event(kind: str, **body: Any) -> Event:
    return Event(sequence=0, at=datetime.now(UTC), kind=kind, step="roots", body=body)


def test_the_kinds_of_the_code_are_found() -> None:
    assert {"job.paused", "approval.awaited", "step.done", "job.incomplete"} <= kinds_said()
    assert len(kinds_said()) > 20


@pytest.mark.parametrize("kind", sorted(kinds_said()))
def test_every_kind_of_event_has_a_sentence_also_without_a_body(kind: str) -> None:
    assert line_of(event(kind))


@pytest.mark.parametrize("kind", ["job.sneezed", "step.hopped", "sneezed", ""])
def test_a_kind_of_another_version_has_none(kind: str) -> None:
    assert line_of(event(kind)) == ""


def test_what_makes_a_job_wait_says_what_to_type() -> None:
    assert "crp jobs resume j1" in hint_of("job.paused", "j1")
    assert "crp jobs approve j1" in hint_of("approval.awaited", "j1")
    assert hint_of("job.resumed", "j1") == ""


def test_a_pause_says_who_and_an_approval_what_was_left_out() -> None:
    assert line_of(event("job.paused", by="Ann")).startswith("paused by Ann")
    said = line_of(event("approved", by="Ben", dropped=["leaves"]))
    assert said == "the plan is approved by Ben, without leaves"


# -- the fold --------------------------------------------------------------------------------------

STEPS = ("roots", "leaves", "advice/a", "advice/b")
ENDS: tuple[StepStatus, ...] = ("done", "accepted", "failed", "skipped", "unneeded")

attempts = st.builds(
    Attempt,
    stage=st.sampled_from(["execute", "probe", "synthesize"]),
    step=st.sampled_from([*STEPS, "roots>inner", ""]),
    part=st.sampled_from(["", "", "judge"]),
    number=st.integers(1, 4),
    status=st.sampled_from(["ok", "content", "transport"]),
    output=st.text(max_size=20),
    usage=st.builds(
        Usage, calls=st.just(1), prompt_tokens=st.integers(0, 99), completion_tokens=st.just(1)
    ),
)
moves = st.one_of(
    attempts,
    st.tuples(st.just("begin"), st.sampled_from(STEPS)),
    st.tuples(st.sampled_from(ENDS), st.sampled_from(STEPS)),
    st.just("plan"),
    st.tuples(st.just("say"), st.sampled_from(["job.paused", "job.resumed", "approved", "voted"])),
)


def play(ledger: Ledger, played: list[Any]) -> None:
    """Let a ledger live through anything, as a job would tell it."""
    plan = Plan(steps=tuple(PlannedStep(id=i, step=i.split("/")[0], title=i) for i in STEPS))
    ledger.planned(plan)
    for move in played:
        if isinstance(move, Attempt):
            ledger.tried(move)
        elif move == "plan":
            ledger.planned(plan)
        elif move[0] == "say":
            ledger.say(move[1], by="Ann")
        elif move[0] == "begin":
            ledger.begin(plan.step(move[1]))
        else:
            ledger.finish(plan.step(move[1]), move[0])


@settings(max_examples=200, deadline=None)
@given(st.lists(moves, max_size=30))
def test_folding_all_events_gives_the_steps_and_the_cost_of_the_ledger(played: list[Any]) -> None:
    ledger = Ledger(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    play(ledger, played)
    was = past(ledger.events)
    assert was.tokens == ledger.usage.tokens
    assert was.attempts == len(ledger.attempts)
    for step in ledger.steps.values():
        then = was.steps[step.id]
        assert then.status == step.status
        if step.status in ENDS:
            assert then.attempts >= step.attempts


@settings(max_examples=100, deadline=None)
@given(st.lists(moves, max_size=15), st.integers(0, 40))
def test_a_fold_can_stop_anywhere_and_go_on(played: list[Any], at: int) -> None:
    ledger = Ledger(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    play(ledger, played)
    first = past(ledger.events[:at])
    for told in ledger.events[at:]:
        first.take(told)
    assert first == past(ledger.events)


@pytest.mark.parametrize(
    "script",
    [
        GOOD,
        {**GOOD, "Describe the ROOTS": "It is long and deep."},
        {**GOOD, "Describe the LEAVES": ["Green.", "Thin.", "The leaf drinks light."]},
        {**GOOD, "Give the ADVICE": ""},
    ],
    ids=["all good", "never good", "good at last", "empty"],
)
async def test_the_past_of_a_whole_job_is_its_record(script: Any, tmp_path: Path) -> None:
    with TraceStore.open(tmp_path / "traces") as store:
        ran = await Bench(tmp_path, store).run(script)
        record = ran.reasoning.record()
    was = past(record.events)
    assert was.status == record.result.status
    assert {s.id: (s.status, s.attempts) for s in was.steps.values()} == {
        s.id: (s.status, s.attempts) for s in record.result.steps
    }
    assert was.tokens == record.result.usage.tokens
    assert was.attempts == len(record.attempts)
    assert was.gate == (record.result.gate.reason if record.result.gate else "")
    assert was.notes == list(record.result.notes)
    if record.result.status == "completed":
        assert was.steps["advice"].output == ADVICE


def test_what_came_later_is_not_there_yet() -> None:
    ledger = Ledger(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    play(ledger, [("begin", "roots"), ("done", "roots"), ("say", "job.paused")])
    kinds = [e.kind for e in ledger.events]
    then = past(ledger.events[: kinds.index("step.started") + 1])
    assert (then.steps["roots"].status, then.paused_by) == ("running", "")
    assert past(ledger.events).paused_by == "Ann"


@pytest.mark.parametrize(
    "kind", ["planned", "attempt.finished", "step.done", "scored", "job.paused", "new.kind"]
)
def test_a_strange_event_does_no_harm(kind: str) -> None:
    strange = {"steps": "no list", "tokens": "many", "quality": [], "candidate": None, "by": 7}
    assert isinstance(
        past([event("planned", steps=[{"id": "roots"}]), event(kind, **strange)]), Past
    )


def test_a_pause_outlasts_an_approval() -> None:
    told = [event(k, by="Ann") for k in ("job.started", "job.paused", "approval.awaited")]
    assert past(told).status == "paused"
    assert past([*told, event("approved", by="Ben")]).status == "paused"
    assert past([*told, event("job.resumed")]).status == "awaits approval"


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def ended(tmp_path: Path) -> str:
    """A finished job in the store of the home that `crp` uses."""
    ledger = Ledger(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    ledger.say("job.started", model="m")
    play(ledger, [("begin", "roots"), ("done", "roots")])
    ledger.say("job.completed")
    steps = tuple(StepRecord(id=s.id, step=s.step, status="done") for s in ledger.steps.values())
    with TraceStore.open(tmp_path / "home" / "traces") as store:
        told = record("job-1", result=result("job-1", steps=steps))
        store.record(told.model_copy(update={"events": tuple(ledger.events)}))
    return "job-1"


def test_the_story_is_told_without_an_engine(crp: Any, ended: str) -> None:
    lines = crp("jobs", "history", "job").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3", "4"]
    assert lines[0].endswith("job started with model m")
    assert lines[-1].endswith("job completed")


def test_the_state_at_an_event_is_shown(crp: Any, ended: str) -> None:
    done = crp("jobs", "history", ended, "--at", "2", "--json")
    then = json.loads(done.stdout)
    assert (then["status"], then["sequence"]) == ("running", 2)
    assert [s["status"] for s in then["steps"]] == ["running", "waiting", "waiting", "waiting"]
    shown = crp("jobs", "history", ended, "--at", "3").stdout
    assert "after event 3 of 4" in shown
    assert "roots: done" in shown


def test_an_event_that_never_was_is_one_line(crp: Any, ended: str) -> None:
    done = crp("jobs", "history", ended, "--at", "5")
    assert done.exit_code == 2
    assert done.stderr == "error: the job has no event 5: the last one is 4\n"
    assert crp("jobs", "history", "nobody").exit_code == 4


def test_as_json_every_event_comes_with_its_sentence(crp: Any, ended: str) -> None:
    told = json.loads(crp("jobs", "history", ended, "--json").stdout)
    assert [e["sequence"] for e in told] == [0, 1, 2, 3, 4]
    assert told[-1]["said"] == "job completed"
