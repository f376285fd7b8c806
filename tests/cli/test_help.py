"""What the command line says of itself."""

import re
import subprocess
import sys

import pytest
from typer.main import get_command

from crp import errors
from crp.cli.app import app
from crp.cli.guard import BUG, INTERRUPTED


def commands(command, words=()):
    if not hasattr(command, "commands"):
        return [words]
    return [w for name, sub in command.commands.items() for w in commands(sub, (*words, name))]


ALL = commands(get_command(app))


def test_these_are_the_commands():
    assert {" ".join(words) for words in ALL} == {
        *("run", "batch", "up", "down", "worker", "sql"),
        *("jobs list", "jobs show", "jobs watch", "jobs cancel"),
        *("jobs pause", "jobs resume", "jobs approve", "jobs history"),
        *("jobs retry", "jobs fork"),
        *("schedule create", "schedule list", "schedule show", "schedule pause"),
        *("schedule resume", "schedule trigger", "schedule delete"),
        *("templates list", "templates show", "templates new", "templates fmt"),
        *("templates migrate", "templates lint", "templates plan", "templates match"),
        *("templates diff", "templates test", "templates render", "templates promote"),
        *("templates schema", "templates lsp"),
        *("codec new-key", "codec status", "codec serve", "temporal setup"),
        *("model pull", "model list", "traces list", "traces show", "report"),
        *("traces score", "traces judge", "traces export", "traces import"),
        *("traces curate", "traces undo", "traces retire", "traces restore"),
        *("traces rebuild", "traces check", "traces compact", "traces forget"),
        *("traces publish", "traces similar"),
    }


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(crp, words):
    done = crp(*words, "--help")
    assert done.exit_code == 0
    assert "Examples:" in done.stdout
    assert f"crp {' '.join(words)}" in done.stdout.split("Examples:")[1]


def test_the_exit_code_of_every_kind_of_error_is_in_the_help(crp):
    told = {int(code) for code in re.findall(r"^ {3,}(\d+)  ", crp("--help").stdout, re.M)}
    kinds = [k for k in vars(errors).values() if isinstance(k, type)]
    raised = {k.exit_code for k in kinds if issubclass(k, errors.CRPError)}
    assert told == {0, *raised, BUG, INTERRUPTED}


def test_the_version_is_that_of_the_distribution(crp):
    from importlib.metadata import version

    assert crp("--version").stdout == f"crp {version('durable-crp')}\n"


def test_it_also_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "crp", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout[:4]) == (0, "crp ")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nimport crp.cli.app\n"
        "heavy = ('temporalio', 'duckdb', 'jinja2', 'pydantic', 'rich')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
