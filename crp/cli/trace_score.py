"""`crp traces score` and `crp traces judge`: what people and models think of finished jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Home, Json
from crp.cli.terminal import out, print_json, say

if TYPE_CHECKING:
    from crp_analytics.scoring import Scored

Note = Annotated[str, typer.Option("--note", help="Why, for whoever reads the scores later.")]


def register(app: typer.Typer) -> None:
    """Put the commands into their group."""
    app.command("score")(score)
    app.command("judge")(judge)


def score(
    job: Annotated[str, typer.Argument(help="The job's id, or its beginning.")],
    value: Annotated[float, typer.Argument(help="From 0 (useless) to 1 (perfect).")],
    by: Annotated[str, typer.Option("--by", help="Who gives the score: a name.")],
    note: Note = "",
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Score a finished job. A person's score wins over the checks' and over a judge's.

    The job's trace enters the library when the score reaches the job's threshold (0.7 unless the
    template says otherwise), and leaves it below. Scoring again replaces your earlier score.

    \b
    Examples:
      crp traces score compare-react 0.9 --by anna --note "right, and short"
      crp traces score compare-react 0.2 --by anna
    """
    from crp.cli.job_story import find
    from crp.cli.loop import run
    from crp.config import load_settings
    from crp.errors import UsageError
    from crp.records import records
    from crp_analytics.scoring import Scored, checked

    checked(job, value, by, note)
    if by.strip().startswith("judge:"):
        raise UsageError("judge:... is how models are called: ask one with `crp traces judge`")

    async def ask() -> Scored:
        store = await records(load_settings(home))
        job_id = await find(store, job)
        return await store.at_desk("score", [job_id, value, by, note], Scored)

    told(run(ask()), as_json=as_json)


def judge(
    jobs: Annotated[list[str], typer.Argument(help="Ids of jobs, or their beginnings.")],
    question: Annotated[
        str, typer.Option("--question", help="A question about the answer: yes is good.")
    ],
    model: Annotated[
        str, typer.Option("--model", help="A configured alias; `judge` or `default` otherwise.")
    ] = "",
    as_json: Json = False,
    home: Home = None,
) -> None:
    """Let a model score finished jobs: yes is 1, no is 0. A person's score still wins.

    The model sees the task and the answer, not the facts. It needs a capability of at least 1.
    Starts the engine when none runs.

    \b
    Examples:
      crp traces judge compare-react --question "Does it name a winner for each criterion?"
      crp traces judge ID1 ID2 --question "Is it polite?" --model judge
    """
    from crp.cli.judging import judged
    from crp.cli.loop import run
    from crp.config import load_settings

    for scored in run(judged(load_settings(home), jobs, question, model)):
        told(scored, as_json=as_json)


def told(scored: Scored, *, as_json: bool) -> None:
    """Say what a score led to."""
    if as_json:
        print_json(scored.model_dump())
        return
    before = "" if scored.before is None else f", before {scored.before:.2f}"
    out(f"{scored.job_id}  {scored.value:.2f} by {scored.by}{before}")
    if scored.moved:
        where = "entered" if scored.moved == "in" else "left"
        say(f"its trace {where} the library: {scored.why}")
    else:
        say(f"the library stays as it is: {scored.why}")
