"""A plan that a model wrote: its list of steps, read forgivingly, and the template made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from crp.errors import UsageError
from crp.language.schema import Step, Template

OUTLINE = "outline"
"""The name of the ad-hoc template, and of the list of steps that its texts read."""
MAX_OUTLINE = 10

_NUMBERED = re.compile(
    r"^\s*(?:step\s+)?(?:\(?\d{1,2}[.):](?:\s+|(?=[^\W\d]))|\d{1,2}\s+-\s+)(\S.*)$", re.I
)
_STEP = re.compile(r"^\s*step\s+(?:\d{1,2}|one|two|three|four|five|six)\s*[:.)-]\s*(\S.*)$", re.I)
_DASHED = re.compile(r"^\s*[-*•–]\s+(\S.*)$")
_FENCE = re.compile(r"^\s*```")
_EMPHASIS = re.compile(r"(?<!\w)(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1(?!\w)")
_LONGEST_OUTLINE = 20_000


def parse_outline(written: str) -> list[str]:
    """Read the list of steps that a model wrote, at most ten; an empty list when there is none.

    Accepts `1.`, `1)`, `Step 1:`, `-`, `*`, bold and JSON. What stands before and after the list
    is left out; sub-points of a numbered step too. Digits of the text stay: `3D rendering`.
    """
    written = written[:_LONGEST_OUTLINE]
    if found := _from_json(written):
        return found[:MAX_OUTLINE]
    lines = [_bare(line) for line in written.splitlines() if not _FENCE.match(line)]
    for marks in ((_STEP, _NUMBERED), (_DASHED,)):
        found = [m.group(1) for line in lines if (m := _first(marks, line))]
        if found:
            return _tidy(found)
    return []


def _first(marks: Sequence[re.Pattern[str]], line: str) -> re.Match[str] | None:
    return next((m for mark in marks if (m := mark.match(line))), None)


def _bare(line: str) -> str:
    """Take off what only makes a line look like a heading or bold."""
    line = re.sub(r"^\s*#{1,6}\s+", "", line)
    return _EMPHASIS.sub(r"\2", line).replace("**", "")


def _tidy(entries: Sequence[str]) -> list[str]:
    clean = (" ".join(e.split()).strip(" *_") for e in entries)
    return [e[:300] for e in dict.fromkeys(clean) if re.search(r"\w", e)][:MAX_OUTLINE]


def _from_json(written: str) -> list[str]:
    start, end = written.find("["), written.rfind("]")
    if start < 0 or end < start or len(written) > _LONGEST_OUTLINE:
        return []
    try:
        values = json.loads(written[start : end + 1])
    except (ValueError, RecursionError):
        return []
    return _tidy([e for v in values if (e := _json_entry(v))]) if isinstance(values, list) else []


def _json_entry(value: object) -> str:
    """A step in JSON is a text, or an object with a text in it."""
    if isinstance(value, dict):
        words = ("step", "description", "task", "title", "text", "name", "action")
        value = next((value[w] for w in words if isinstance(value.get(w), str)), "")
    return value if isinstance(value, str) else ""


def outline_template(steps: Sequence[str]) -> Template:
    """Make a template of a model's own steps, each reading what the one before it gave.

    The steps' words are data: the texts name them as `{{ outline[0] }}`, so nothing that a model
    wrote is ever parsed. Whoever renders gives the list as the name `outline`.
    """
    if not steps:
        raise UsageError("a plan needs at least one step")
    made = tuple(_outline_step(i, len(steps)) for i in range(min(len(steps), MAX_OUTLINE)))
    ids = tuple(step.id for step in made)
    joined = "".join(f"{{% if {i} %}}\n{{{{ {i} }}}}\n\n{{% endif %}}\n" for i in ids)
    answer = Step(id="answer", title="Join", kind="render", text=joined, reads=ids, optional=ids)
    return Template(
        template=OUTLINE,
        title="Steps that the model planned",
        steps=made,
        synthesize=answer,
    )


def _outline_step(index: int, count: int) -> Step:
    before = f"part_{index}" if index else ""
    known = f"What is known so far:\n{{{{ {before} }}}}\n\n" if before else ""
    return Step(
        id=f"part_{index + 1}",
        title=f"Part {index + 1} of {min(count, MAX_OUTLINE)}",
        text=f"{known}Do only this part of the task: {{{{ outline[{index}] }}}}",
        reads=(before,) if before else (),
    )
