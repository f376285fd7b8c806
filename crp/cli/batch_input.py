"""From the words of `crp batch` to its tasks: read, completed, and checked as far as code can."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from crp.batching.task import Batch, BatchTask
from crp.batching.tasks_file import Fit, expand, read_tasks, tasks_about
from crp.cli.asking import ModelChoice, choose_model
from crp.cli.terminal import say
from crp.config import Settings, load_settings
from crp.errors import UsageError
from crp.models import Task
from crp.request import slug
from crp.templates import Shelf, find_library
from crp_activities.deciding import inputs_of

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,59}")
NAME_WORDS = 5
KINDS = (".jsonl", ".ndjson", ".csv", ".tsv")


@dataclass(frozen=True)
class Given:
    """What a batch command works on."""

    settings: Settings
    batch: Batch
    tasks: list[BatchTask]
    out: Path | None
    """None: stdout."""

    @property
    def has_prices(self) -> bool:
        """Whether the cost of these tasks is known."""
        models = [self.batch.models_of(task)["default"] for task in self.tasks]
        return any(model.input_price or model.output_price for model in models)


def read(
    home: Path | None,
    files: list[str],
    *,
    about: str,
    template: str,
    choice: ModelChoice,
    name: str,
    out: str,
) -> Given:
    """Read and check all tasks. Raises UsageError with every mistake, NotFound."""
    plain = load_settings(home)
    settings, models = choose_model(plain, choice)
    shelf = find_library(plain, Path.cwd())
    for note in shelf.notes:
        say(f"note: {note}: see `crp templates lint`")
    name = _checked(name) if name else slug(about or Path(files[0]).stem, NAME_WORDS)
    batch = Batch.of(name, plain, shelf.library)
    batch = replace(batch, models={**batch.models, "": models})
    path = None if out == "-" else Path(out) if out else _default_out(files[0], about, name)
    names = expand(files, but=path)
    fit = _fitting(batch, shelf, template)
    tasks = tasks_about(about, names, fit) if about else read_tasks(_tables(names), fit)
    return Given(_for_engine(plain, settings, batch, tasks), batch, tasks, path)


def _checked(name: str) -> str:
    if NAME.fullmatch(name):
        return name
    raise UsageError(f"--name {name[:60]!r}: letters, digits, `.`, `-` and `_`, at most 60")


def _default_out(first: str, about: str, name: str) -> Path:
    """Results lie beside the tasks; those about many files, in the working directory."""
    folder = Path() if about or first == "-" else Path(first).parent
    return folder / f"{name if about or first == '-' else Path(first).stem}.results.jsonl"


def _tables(names: list[str]) -> list[str]:
    for name in names:
        if name != "-" and Path(name).suffix.lower() not in KINDS:
            raise UsageError(
                f"{name!r} is not a list of tasks ({', '.join(KINDS)}): to ask the same of many "
                'files, say what, as in --task "Summarise this"'
            )
    return names


def _fitting(batch: Batch, shelf: Shelf, template: str) -> Fit:
    """Complete tasks, and find out of each what would make its job fail at once."""

    def fit(task: BatchTask) -> BatchTask:
        task = replace(task, template=task.template or template)
        batch.models_of(task)
        if task.template:
            inputs_of(shelf.get(task.template), Task(text=task.text, inputs=dict(task.inputs)))
        return task

    return fit


def _for_engine(
    plain: Settings, chosen: Settings, batch: Batch, tasks: list[BatchTask]
) -> Settings:
    """The engine need not fetch and serve a model that no task asks."""
    asked = {task.model: batch.models_of(task)["default"] for task in tasks}
    if any(model.provider == "embedded" for model in asked.values()):
        return plain
    if "" in asked:
        return chosen
    return choose_model(plain, ModelChoice(next(iter(asked))))[0]
