"""`crp traces`: the library of chains that went well, kept as examples for later jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli import (
    trace_compact,
    trace_curate,
    trace_exchange,
    trace_forget,
    trace_publish,
    trace_rebuild,
    trace_score,
    trace_similar,
)
from crp.cli.options import Home, Json, Limit, group
from crp.cli.terminal import made_at, one_line, out, print_json, print_table, say

if TYPE_CHECKING:
    from pathlib import Path

    from crp.models import ReasoningTrace

app = group("Look at the library: chains that went well, kept as examples for later jobs.")

EVERYTHING = 1_000_000


@app.command("list")
def list_traces(
    task_type: Annotated[str, typer.Option("--type", help="Only traces of this template.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Retired ones too.")] = False,
    limit: Limit = 50,
    as_json: Json = False,
    home: Home = None,
) -> None:
    """List library entries, newest first.

    \b
    Examples:
      crp traces list
      crp traces list --type comparison --all --json
    """
    found = _traces(home, task_type or None, limit, not everything)
    if as_json:
        print_json([trace.to_dict() for trace in found])
        return
    if not found:
        say("the library is empty: it keeps complete jobs of good quality that were done in steps")
        return
    rows = [
        (
            t.trace_id,
            t.task_type,
            round(t.quality_score, 2),
            t.usage_count,
            len(t.steps),
            t.task_summary,
        )
        for t in found
    ]
    print_table(("trace", "type", "quality", "used", "steps", "task"), rows)


@app.command()
def show(
    trace_id: Annotated[str, typer.Argument(help="The trace's id, or its beginning.")],
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Show one library entry with all its steps.

    \b
    Examples:
      crp traces show compare-react-vue-3f2a
      crp traces show compare-react --json
    """
    from crp.client import completed

    found = {t.trace_id: t for t in _traces(home, None, EVERYTHING, False)}
    trace = found[completed(trace_id, list(found), "trace")]
    if as_json:
        print_json(trace.to_dict())
        return
    out(f"trace    {trace.trace_id}")
    out(f"task     {one_line(trace.task_summary, 500)}")
    out(f"type     {trace.task_type}, model class {trace.model_class}")
    out(f"quality  {trace.quality_score:.2f}, shown to {trace.usage_count} jobs")
    out(f"made     {made_at(trace.created_at)}\n")
    rows = [
        (i, s.step_description, s.expected_output_format, s.scaffold_level)
        for i, s in enumerate(trace.steps, 1)
    ]
    print_table(("", "step", "output", "help"), rows)


def _traces(
    home: Path | None, task_type: str | None, limit: int, active_only: bool
) -> list[ReasoningTrace]:
    from crp.cli.loop import run
    from crp.config import load_settings
    from crp.records import records

    async def ask() -> list[ReasoningTrace]:
        store = await records(load_settings(home))
        return await store.traces(task_type, limit, active_only)

    return run(ask())


for part in (
    trace_similar,
    trace_score,
    trace_curate,
    trace_exchange,
    trace_publish,
    trace_rebuild,
    trace_compact,
    trace_forget,
):
    part.register(app)
