"""What people ask of a job that is under way: pause, go on, approve its plan. Pure state.

One gate stands before every effect of the job. What holds it shut: a person who paused the job, or
a history that has become too long (`closing`: the job goes on in a new one). The workflow waits at
the gate; here is only its state.
"""

from __future__ import annotations

from crp.models import Approval, Plan, Standing

SHOWN = 20
"""Steps that a refusal names: a plan may have thousands."""


class Control:
    """The gate of one job, and what a person has to say about its plan."""

    def __init__(self, paused_by: str = "") -> None:
        self.paused_by = paused_by
        self.closing = False
        self.released = False
        """The job was cancelled: nothing holds back what is left of it."""
        self.under_way = 0
        self.asked_about: Plan | None = None
        """The plan that waits for a person."""
        self.approval: Approval | None = None

    def lets(self, *, paused_too: bool = False) -> bool:
        """Whether one more effect may start; `paused_too`: also while the job is paused."""
        return self.released or (not self.closing and (paused_too or not self.paused_by))

    @property
    def drained(self) -> bool:
        """Whether nothing is under way and nothing will start: the history can end here."""
        return self.closing and not self.released and self.under_way == 0

    def release(self) -> None:
        """Open the gate for good."""
        self.paused_by, self.released = "", True

    # -- what people may ask; each gives the reason why not, or nothing ----------------------------

    def no_pause(self) -> str:
        return f"the job is paused already, by {self.paused_by}" if self.paused_by else ""

    def no_resume(self) -> str:
        return "" if self.paused_by else "the job is not paused"

    def no_approval(self, said: Approval) -> str:
        """Why an approval can not be taken."""
        if self.asked_about is None:
            return "no plan of the job waits for approval"
        known = {name for step in self.asked_about.steps for name in (step.id, step.step)}
        strange = [name for name in said.drop if name not in known]
        if strange and said.template is None:
            some = ", ".join(sorted(known)[:SHOWN]) + (", ..." if len(known) > SHOWN else "")
            return f"the plan has no step {', '.join(strange)}: there are {some}"
        return ""

    def standing(self) -> Standing:
        """Say how the job stands."""
        return Standing(
            paused_by=self.paused_by, awaits_approval=self.asked_about, under_way=self.under_way
        )
