"""Every command of `crp`, and what `crp --help` says."""

from __future__ import annotations

from typing import Annotated

import typer

from crp.cli import (
    batch,
    codec,
    engine,
    jobs,
    model,
    report,
    run,
    schedule,
    sql,
    templates,
    temporal,
    traces,
)
from crp.cli.guard import Guarded

EPILOG = """\b
Examples:
  crp run "Compare React, Vue, and Angular"
  crp run "Which laptop suits a student?" --context-file laptops.md > answer.md
  crp jobs list
  crp sql "select * from v_quality_by_template"

\b
Exit codes:
    0  done; also when a job is incomplete (its result says so)
    1  the job failed or was cancelled
    2  the command, an input or a setting is wrong
    3  a template has mistakes
    4  there is no such job, template, trace or model
    5  the engine (Temporal, worker) can not be used
    6  the language model can not be used
    7  the trace store, or the SQL, can not be used
   70  a bug of ours; it says where the traceback is
  130  Ctrl-C or SIGTERM: a job that was watched goes on

Settings come from config.toml in the home directory, crp.toml here, and variables such as
CRP_HOME and CRP_MODELS__DEFAULT__BASE_URL; options win. CRP_DEBUG=1 shows tracebacks.
"""

app = typer.Typer(
    name="crp",
    help="Make small language models reason better: structured steps, durable jobs, traces.",
    epilog=EPILOG,
    cls=Guarded,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"crp {version('durable-crp')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Make small language models reason better: structured steps, durable jobs, traces."""


app.command("run")(run.run)
app.command("batch")(batch.batch)
app.command("up")(engine.up)
app.command("down")(engine.down)
app.command("worker")(engine.worker)
app.add_typer(jobs.app, name="jobs")
app.add_typer(schedule.app, name="schedule")
app.add_typer(templates.app, name="templates")
app.add_typer(model.app, name="model")
app.add_typer(codec.app, name="codec")
app.add_typer(temporal.app, name="temporal")
app.add_typer(traces.app, name="traces")
app.command("sql")(sql.sql)
app.command("report")(report.report)
