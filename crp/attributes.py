"""What jobs can be found by: the search attributes at Temporal, the same things in the trace store.

Pure data: Temporal is told of them by `crp.searching` (from outside) and by
`crp_workflows.attributes` (as a job goes on), and `crp.where` translates what people ask.

No text of a task is among them: search attributes are not encrypted.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["Keyword", "Double", "Int"]


class Attribute(NamedTuple):
    """One thing that jobs have."""

    name: str
    """How people write it."""
    temporal: str
    """The search attribute, ours (`Crp...`) or one that every Temporal has."""
    store: str
    """The column of the store's table `jobs`; empty: it has none."""
    kind: Kind | Literal["Datetime"]

    @property
    def ours(self) -> bool:
        return self.temporal.startswith("Crp")


ATTRIBUTES = {
    attribute.name: attribute
    for attribute in (
        Attribute("task_type", "CrpTaskType", "task_type", "Keyword"),
        Attribute("template", "CrpTemplate", "template", "Keyword"),
        Attribute("model", "CrpModel", "model_name", "Keyword"),
        Attribute("status", "CrpStatus", "status", "Keyword"),
        Attribute("quality", "CrpQuality", "quality", "Double"),
        Attribute("complexity", "CrpComplexity", "complexity", "Int"),
        Attribute("batch", "CrpBatch", "", "Keyword"),
        Attribute("job_id", "WorkflowId", "job_id", "Keyword"),
        Attribute("submitted_at", "StartTime", "submitted_at", "Datetime"),
        Attribute("finished_at", "CloseTime", "finished_at", "Datetime"),
    )
}

SEARCH_ATTRIBUTES = {a.temporal: a.kind for a in ATTRIBUTES.values() if a.ours}
"""What has to be registered at a Temporal, by name."""
