"""How long a live run would take: plans are made, no model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.live import Try, job_of
from bench.model import config_of
from crp.advanced.in_process import PlanningStages
from crp.advanced.workshop import Workshop
from crp.errors import CRPError
from crp.language.facts import tokens
from crp.models import Library, ModelProfile, Plan, Wire
from crp_workflows.orchestration import Reasoning


class Estimate(Wire):
    """What the open tries of one template cost, rather too much than too little."""

    template: str
    tries: int
    calls: int = 0
    tokens: int = 0
    tokens_worst: int = 0

    def minutes(self, speed: float) -> tuple[int, int]:
        """Likely, and with every retry; as if prompts took as long as what is written."""
        return round(self.tokens / speed / 60), round(self.tokens_worst / speed / 60)


async def estimate(
    wanted: Sequence[Try], library: Library, profile: ModelProfile
) -> list[Estimate]:
    """Add up the plans of these tries, by template."""
    names = dict.fromkeys(one.template for one in wanted)
    with TemporaryDirectory() as folder:
        shop = Workshop(None, None, Path(folder))
        try:
            stages = PlanningStages(shop.tools, shop.store)
            return [
                await _of_template([t for t in wanted if t.template == n], library, profile, stages)
                for n in names
            ]
        finally:
            shop.close()


async def _of_template(
    wanted: list[Try], library: Library, profile: ModelProfile, stages: PlanningStages
) -> Estimate:
    calls = likely = worst = 0
    for one in wanted:
        if one.arm == "template":
            plan = await _plan(one, library, profile, stages)
            calls += plan.calls_likely
            likely += plan.tokens_likely
            worst += plan.tokens_worst
        else:
            count = int(one.arm.rpartition(" ")[2]) if one.arm != "direct" else 1
            spent = tokens(one.item.task) + tokens(one.item.context) + profile.max_tokens
            calls += count
            likely += count * spent
            worst += count * spent
    return Estimate(
        template=wanted[0].template,
        tries=len(wanted),
        calls=calls,
        tokens=likely,
        tokens_worst=worst,
    )


async def _plan(one: Try, library: Library, profile: ModelProfile, stages: PlanningStages) -> Plan:
    """Make the plan; empty where a list could only be found by a model."""
    job = job_of(one.task, "estimate", profile, config_of(profile))
    try:
        result = await Reasoning(job, library, stages).preview()
    except CRPError:
        return Plan()
    return result.plan or Plan()
