"""The README and the docs are tests: what they tell people to type works.

A block of commands, Python, YAML or SQL is run, unless the comment `<!-- not run: why -->` stands
above it; even then the commands of `crp` in it must exist with these options. Command blocks run in
the order of the page in one home, with the real engine and the embedded model. Stand-ins: ID is the
newest job, TRACE the newest library entry, and `pkill` kills the worker of this home only.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.main import get_command

from crp.authoring import json_schema
from crp.cli.app import app
from crp.cli.guard import BUG, INTERRUPTED
from crp.config import ModelSettings, Settings, load_settings
from crp.errors import CRPError
from crp.language.load import lint
from crp.language.schema import CHECK_KINDS, OutputKind
from crp.local import model_files
from crp.local.children import end_processes
from crp.local.state import read_state
from crp.models import MetaLearningConfig, StepRecord
from crp_activities.pressure import LEVELS, THRESHOLDS
from crp_analytics.store import TraceStore
from tests.analytics.samples import RETRIEVE, START, record, result, trace

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
COMMANDS: Any = get_command(app)


class Block(NamedTuple):
    """One fenced block of a page."""

    page: str
    number: int
    language: str
    text: str
    skipped: bool

    @property
    def id(self) -> str:
        return f"{self.page}-{self.number}"


def _blocks() -> list[Block]:
    fence = r"(<!-- not run: [^>\n]+ -->\n)?^```(\w+)\n(.*?)^```$"
    return [
        Block(page, number, found[2], found[3], bool(found[1]))
        for page, text in PAGES.items()
        for number, found in enumerate(re.finditer(fence, text, re.M | re.S), 1)
    ]


BLOCKS = _blocks()


def of(language: str, *, skipped: bool = False) -> list[Any]:
    found = [b for b in BLOCKS if b.language == language and b.skipped <= skipped]
    assert found
    return [pytest.param(block, id=block.id) for block in found]


def test_every_block_says_what_it_is() -> None:
    assert {block.language for block in BLOCKS} <= {"bash", "python", "yaml", "sql", "toml", "text"}
    assert sum(text.count("\n```") for text in PAGES.values()) == 2 * len(BLOCKS)


# -- commands ---------------------------------------------------------------------------------


def crp_calls(text: str) -> list[list[str]]:
    """The words behind every `crp` of a block, without what the shell takes."""
    calls = []
    for line in re.split(r"\n|&&|\|", text):
        words = shlex.split(line, comments=True)
        starts = [n for n, word in enumerate(words) if word == "crp" or word.endswith("/crp")]
        if starts:
            call = words[starts[0] + 1 :]
            calls.append(call[: call.index(">")] if ">" in call else call)
    return calls


@pytest.mark.parametrize("block", of("bash", skipped=True))
def test_commands_and_their_options_exist(block: Block) -> None:
    for words in crp_calls(block.text):
        command, rest = COMMANDS, list(words)
        while hasattr(command, "commands"):
            command = command.commands[rest.pop(0)]
        command.make_context(command.name, rest)  # exits when an option is wrong


def _all_commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield " ".join(words)
        return
    for name, sub in command.commands.items():
        yield from _all_commands(sub, (*words, name))


@pytest.mark.parametrize("command", list(_all_commands(COMMANDS)))
def test_every_command_is_in_the_docs(command: str) -> None:
    assert any(re.search(rf"\bcrp {command}\b", text) for text in PAGES.values())


def test_every_option_of_run_is_in_the_docs() -> None:
    text = PAGES["docs/run-jobs.md"]
    names = [name for p in COMMANDS.commands["run"].params for name in p.opts if "--" in name]
    assert [n for n in names if n not in (*("--capability", "--base-url"), "--json")]
    assert not [name for name in names if name not in text]


def test_the_exit_codes_are_all_told() -> None:
    told = set(map(int, re.findall(r"^\| (\d+) \|", PAGES["docs/run-jobs.md"], re.M)))
    in_help = re.findall(r"^ +(\d+)  ", COMMANDS.epilog.replace("\b", ""), re.M)
    assert told == set(map(int, in_help)) | {BUG, INTERRUPTED}


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Runs a block with bash in a folder with the examples, in one home for the module."""
    try:
        model_files.pull(load_settings())
    except CRPError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("docs")
    home, work = folder / "home", folder / "work"
    work.mkdir()
    shutil.copytree(ROOT / "examples", work / "examples")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CRP_") or k == "CRP_CACHE"}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**kept, "CRP_HOME": str(home), "PATH": path}
    (folder / "newest.py").write_text(
        "import json, sys\nprint(json.load(sys.stdin)[0][sys.argv[1]])\n"
    )
    (folder / "worker.py").write_text(
        "import json, sys\nprint(json.load(open(sys.argv[1]))['children']['worker']['pid'])\n"
    )
    prelude = textwrap.dedent(
        """
        set -euo pipefail
        newest() { crp "$1" list --json --limit 1 | python ../newest.py "$2"; }
        kill_worker() { sleep 2; kill -9 $(python ../worker.py "$CRP_HOME/engine.json"); }
        """
    )

    def run(text: str) -> subprocess.CompletedProcess[str]:
        text = re.sub(r"\bID\b", '"$(newest jobs job_id)"', text)
        text = re.sub(r"\bTRACE\b", '"$(newest traces trace_id)"', text)
        text = re.sub(r"^pkill .*$", "kill_worker", text, flags=re.M)
        return subprocess.run(
            ["bash", "-c", prelude + text],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    yield run
    run("crp down")
    state = read_state(home)
    end_processes([*([state.supervisor] if state.supervisor else []), *state.children.values()])


@pytest.mark.slow
@pytest.mark.parametrize("block", of("bash"))
def test_commands_work(block: Block, shell: Any) -> None:
    done = shell(block.text)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_output_in_the_readme_is_of_this_kind(shell: Any) -> None:
    """The numbers change from run to run; the facts of the table do not."""
    readme = PAGES["README.md"]
    command = next(b.text for b in BLOCKS if "--show-probe" in b.text and b.page == "README.md")
    done = shell(f"crp down; {command}")
    table = re.findall(r"^\|.*\|$", done.stdout, re.M)
    assert table
    assert "\n".join(table) in readme
    for line in ("--- the model alone", "--- with the engine", "plan of 4 steps", "gate: "):
        assert line in done.stderr
        assert line in readme


# -- Python, YAML, SQL, TOML ------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(b.page == page and b.language == "python" for b in BLOCKS)],
)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRP_HOME", str(tmp_path / "home"))
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in BLOCKS:
        if block.page == page and block.language == "python" and not block.skipped:
            exec(compile(block.text, block.id, "exec"), names)


@pytest.mark.parametrize("block", of("yaml"))
def test_templates_have_no_mistakes(block: Block) -> None:
    assert [str(problem) for problem in lint(block.text, block.id)] == []


def test_the_message_in_the_docs_is_the_message() -> None:
    page = PAGES["docs/write-templates.md"]
    broken = "template: mine\nextract:\n  items: Which things?\n\n\nsteps:\n  look:\n"
    broken += '    for_each: items\n    prompt: "Describe {{ itms }}."\n'
    problem = lint(broken, "mine.yaml")[0]
    shown = next(b.text for b in BLOCKS if "[T003]" in b.text)
    assert problem.message in shown
    assert problem.help in shown
    assert f"{problem.file}:{problem.line}:" in shown
    assert page


@pytest.fixture(scope="module")
def store() -> Iterator[TraceStore]:
    """A few recorded jobs, one of them failed, and a curation."""
    with TraceStore.in_memory() as opened:
        opened.add_trace(trace())
        opened.retrieve("job-1", "compare React and Vue", **RETRIEVE)
        for number in range(1, 4):
            opened.record(record(f"job-{number}", task=f"compare tea and number {number}"))
        slow = StepRecord(
            id="a", step="a", status="failed", attempts=3, started_at=START, finished_at=START
        )
        failed = result("job-4", status="failed", error="no answer", steps=(slow,))
        opened.record(record("job-4", result=failed))
        opened.curate(MetaLearningConfig())
        yield opened


@pytest.mark.parametrize("block", of("sql"))
def test_queries_give_rows(block: Block, store: TraceStore) -> None:
    assert store.sql(block.text).rows


def test_every_table_and_view_is_in_the_docs_and_no_other(store: TraceStore) -> None:
    page = PAGES["docs/query-traces.md"]
    there = {row[0] for row in store.sql("show tables").rows}
    assert not {name for name in there if f"`{name}`" not in page}
    assert set(re.findall(r"`(v_\w+)`", page)) <= there


def test_every_view_is_in_the_docs_with_its_question_and_a_query_of_it(store: TraceStore) -> None:
    page = " ".join(PAGES["docs/query-traces.md"].split())
    queries = " ".join(b.text for b in BLOCKS if b.page.endswith("query-traces.md"))
    views = store.sql("select view_name, comment from duckdb_views() where not internal").rows
    assert views
    for name, comment in views:
        assert f"`{name}`: {comment.splitlines()[0]}" in page
        assert re.search(rf"\bfrom {name}\b", queries), name


@pytest.mark.parametrize("block", of("toml"))
def test_settings_files_can_be_read(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crp.toml").write_text(block.text, "utf-8")
    monkeypatch.chdir(tmp_path)
    settings = load_settings(tmp_path / "home")
    assert set(tomllib.loads(block.text)) <= settings.model_fields_set
    settings.config(settings.profiles()["default"])


# -- what is told against what is -------------------------------------------------------------


def _settings(model: type[BaseModel], under: str = "") -> Iterator[tuple[str, str]]:
    """Every setting by its name in the docs, with its default as TOML writes it."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _settings(kind, f"{under}{name}.")
        elif f"{under}{name}" == "models":
            yield from _settings(ModelSettings, "models.ALIAS.")
        elif f"{under}{name}" == "reasoning":
            yield from _settings(MetaLearningConfig, "reasoning.")
        elif f"{under}{name}" != "pressure":  # has a table of its own
            value = field.default
            plain = "a folder" if value is PydanticUndefined else json.dumps(value)
            yield f"{under}{name}", "none" if value is None else plain


def test_every_setting_is_in_the_docs_with_its_default() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| .+ \|$", PAGES["docs/configure.md"], re.M)
    told = {name: default.strip("`") for name, default in rows}
    there = dict(_settings(Settings))
    assert set(told) == set(there)
    wrong = {n: (told[n], d) for n, d in there.items() if d != "a folder" and told[n] != d}
    assert not wrong
    assert {name for name, default in there.items() if default == "a folder"} == {"home", "cache"}


def test_the_pressure_thresholds_in_the_docs_are_the_real_ones() -> None:
    for number, level in enumerate(LEVELS):
        cells = " | ".join(
            f"{THRESHOLDS[name][number]:{form}}"
            for name, form in (("memory", ".2f"), ("load", "g"), ("wait", "g"))
        )
        assert f"| {level.name} | {cells} |" in PAGES["docs/configure.md"]


def _fields() -> Iterator[Any]:
    for name, form in json_schema.schema()["definitions"].items():
        for field in form.get("properties", {}):
            yield pytest.param(field, id=f"{name}.{field}")


@pytest.mark.parametrize("field", [*_fields(), *CHECK_KINDS, *get_args(OutputKind)])
def test_every_word_of_the_language_is_in_the_docs(field: str) -> None:
    assert re.search(rf"`{field}\b", PAGES["docs/template-language.md"])


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in _anchors(path.read_text("utf-8")), target
