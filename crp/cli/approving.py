"""The plan that waits for a person: show it, and let the person change its template.

Touches the job (through `crp.control`), a file, and the person's editor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from crp.cli.planning import print_plan
from crp.cli.terminal import out, print_json, say
from crp.client import Engine
from crp.control import history, standing, started_with
from crp.errors import CRPError, NotFound, UsageError
from crp.jobs_past import past
from crp.language.load import extended
from crp.language.source import MAX_BYTES
from crp.models import Library, Plan, TemplateSource
from crp.templates import pinned


async def wanted_plan(engine: Engine, job_id: str) -> Plan:
    """Give the plan that waits, as soon as the job has made it. Raises UsageError for none."""
    told = False
    while True:
        if plan := (await standing(engine, job_id)).awaits_approval:
            return plan
        was = past(await history(engine, job_id))
        if was.awaits_approval:
            continue  # it has become so between the two questions
        if was.status not in ("waiting", "running") or was.steps:
            see = f"see `crp jobs show {job_id}`"
            raise UsageError(f"no plan of {job_id} waits for approval: {see}")
        if not told:
            say("the job has no plan yet: waiting for it")
        told = True
        await asyncio.sleep(0.5)


def show_waiting(job_id: str, plan: Plan, *, as_json: bool) -> None:
    """Print the plan as `crp templates plan` does."""
    if as_json:
        print_json({"job_id": job_id, "plan": plan.model_dump(mode="json")})
        return
    print_plan(plan)
    out(f"\nlet it run: crp jobs approve {job_id} [--drop STEP] [--edit]")


# -- another template -----------------------------------------------------------------------------


async def from_file(engine: Engine, job_id: str, path: Path) -> TemplateSource:
    """Compile a file as the job would. Raises TemplateError with every mistake, NotFound."""
    library = (await started_with(engine, job_id)).library
    return compiled(read_text(path), path.name, library)


@contextlib.asynccontextmanager
async def edited(engine: Engine, job_id: str) -> AsyncIterator[TemplateSource]:
    """Let the person edit the job's template; the text is kept until the block has succeeded.

    Raises TemplateError with every mistake, UsageError when nothing was changed.
    """
    source, library = await _pinned(engine, job_id)
    path = Path(tempfile.mkdtemp(prefix="crp-")) / f"{source.name}.yaml"
    path.write_text(source.text, "utf-8")
    try:
        await asyncio.to_thread(_open_editor, path)
        text = read_text(path)
        if text == source.text:
            as_it_is = f"`crp jobs approve {job_id}` lets it run as it is"
            raise UsageError(f"nothing was changed, so nothing is approved: {as_it_is}")
        yield compiled(text, path.name, library)
    except CRPError:
        if path.is_file() and path.read_bytes() != source.text.encode():
            say(f"your text is kept: crp jobs approve {job_id} --template {path}")
        else:
            shutil.rmtree(path.parent, ignore_errors=True)
        raise
    shutil.rmtree(path.parent, ignore_errors=True)


async def _pinned(engine: Engine, job_id: str) -> tuple[TemplateSource, Library]:
    """The template that the waiting plan was made of, from what the job was started with."""
    library = (await started_with(engine, job_id)).library
    name = past(await history(engine, job_id)).template
    source = library.get(name)
    if source is None:
        raise NotFound(f"the job's template {name!r} is not in its library: use --template FILE")
    return source, library


def compiled(text: str, file: str, library: Library) -> TemplateSource:
    """Compile a text with what the job has: the base that it extends, and the snippets."""
    base = library.get(extended(text))
    source, _ = pinned(
        text, file, "approval", base=base.text if base else "", snippets=library.snippets
    )
    return source


def read_text(path: Path) -> str:
    """Read a template file. Raises NotFound, UsageError for what is no text."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} is too large for a template")
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise NotFound(f"no template file {str(path)!r}") from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"the template file {str(path)!r} can not be read: {why}") from None


def _open_editor(path: Path) -> None:
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or shutil.which("vi") or ""
    try:
        words = shlex.split(named)
        if not words:
            raise UsageError("no editor is named: set VISUAL or EDITOR, or use --template FILE")
        code = subprocess.run([*words, str(path)], check=False).returncode
    except (OSError, ValueError) as error:
        raise UsageError(f"the editor {named!r} can not be started: {error}") from None
    if code:
        raise UsageError(f"the editor ended with {code}: nothing is approved")
