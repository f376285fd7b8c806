"""What a batch would cost, told without asking a model: `crp batch --dry-run`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from crp.batching.remaining import Remaining
from crp.batching.results import read_results
from crp.batching.task import BatchTask
from crp.cli.batch_input import Given
from crp.cli.planning import preview
from crp.cli.terminal import one_line, out, print_json, print_table
from crp.errors import CRPError


@dataclass
class Cost:
    """What the jobs of one template take, as the plans say."""

    template: str
    jobs: int = 0
    calls_likely: int = 0
    calls_worst: int = 0
    tokens_likely: int = 0
    tokens_worst: int = 0

    def add(self, other: Cost) -> None:
        self.jobs += other.jobs
        self.calls_likely += other.calls_likely
        self.calls_worst += other.calls_worst
        self.tokens_likely += other.tokens_likely
        self.tokens_worst += other.tokens_worst


@dataclass
class Costs:
    """What a batch takes, by template, and the tasks that no plan can be made of."""

    by_template: dict[str, Cost] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def total(self) -> Cost:
        whole = Cost("all")
        for cost in self.by_template.values():
            whole.add(cost)
        return whole


def costs(given: Given, tasks: Iterable[BatchTask]) -> Costs:
    """Plan every task; no model, no engine."""
    found = Costs()
    for task in tasks:
        try:
            one = _cost(given, task)
        except CRPError as error:
            found.problems.append(f"{task.place}: {one_line(str(error))}")
        else:
            found.by_template.setdefault(one.template, Cost(one.template)).add(one)
    return found


def _cost(given: Given, task: BatchTask) -> Cost:
    seen = preview(given.batch.request(task))
    plan = seen.plan
    name = seen.route.source.name
    if not seen.gate.orc and not seen.gate.needs_probe:  # one direct answer
        return Cost(name, 1, 1, 1, plan.tokens_likely, plan.tokens_worst)
    return Cost(name, 1, plan.calls_likely, plan.calls_worst, plan.tokens_likely, plan.tokens_worst)


def show_costs(given: Given, *, limit: int | None, retry_failed: bool, as_json: bool) -> None:
    """Print what the batch would cost from here on."""
    known = read_results(given.out).known if given.out else {}
    todo = Remaining(given.batch, known, retry_failed).of(given.tasks)
    found = costs(given, todo[:limit])
    if as_json:
        print_json(_data(given, len(todo), found))
        return
    rows = sorted(found.by_template.values(), key=lambda cost: -cost.calls_likely)
    columns = ("template", "jobs", "calls likely", "worst", "tokens likely", "worst")
    print_table(columns, [list(asdict(cost).values()) for cost in (*rows, found.total)])
    for problem in found.problems:
        out(f"no plan: {problem}")
    out(f"\ntasks    {len(given.tasks)}, of which {len(given.tasks) - len(todo)} are done")
    out(f"results  {given.out or 'stdout'}")


def _data(given: Given, todo: int, found: Costs) -> dict[str, object]:
    return {
        "tasks": len(given.tasks),
        "done_before": len(given.tasks) - todo,
        "templates": [asdict(cost) for cost in found.by_template.values()],
        "total": asdict(found.total),
        "problems": found.problems,
        "results": str(given.out or ""),
    }
