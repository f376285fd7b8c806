"""Folders of templates under watch: what was saved, and for a worker's log what that changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from crp.authoring.keeping import GoodTexts
from crp.config import Settings
from crp.templates import Found, find_library

logger = logging.getLogger(__name__)

LOOK_AGAIN = 5_000
"""Milliseconds after which it is looked whether there are other folders to watch."""
_ENDINGS = (".yaml", ".yml")


def saved(folders: Collection[Path]) -> Iterator[set[Path]]:
    """Give the YAML files that were changed, each time some are, until Ctrl-C."""
    from watchfiles import watch

    there = [folder for folder in folders if folder.is_dir()]
    for changes in watch(*there, recursive=False, debounce=200, step=20):
        if paths := _templates(changes):
            yield paths


async def log_edits(settings: Settings, stopping: asyncio.Event) -> None:
    """Log every edit of a template that jobs of this home may use, until `stopping` is set.

    Watched are the folders of the settings, the user's, and those of the projects that templates
    of this home were read from.
    """
    from watchfiles import awatch

    edits = Edits(settings)
    while not stopping.is_set():
        folders = edits.folders()
        if not folders:
            await _pause(stopping)
            continue
        async for changes in awatch(
            *folders,
            recursive=False,
            debounce=200,
            stop_event=stopping,
            rust_timeout=LOOK_AGAIN,
            yield_on_timeout=True,
        ):
            for path in sorted(_templates(changes)):
                _log(await asyncio.to_thread(edits.told, path))
            if edits.folders() != folders:
                break


async def _pause(stopping: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), LOOK_AGAIN / 1000)
    except TimeoutError:
        return


def _templates(changes: Iterable[tuple[object, str]]) -> set[Path]:
    paths = (Path(path) for _, path in changes)
    return {p for p in paths if p.suffix in _ENDINGS and not p.name.startswith(".")}


def _log(lines: list[tuple[int, str]]) -> None:
    for level, line in lines:
        logger.log(level, "%s", line)


class Edits:
    """What the last edit of each file was, so that each is told once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told: dict[Path, str] = {}

    def folders(self) -> set[Path]:
        """The folders whose templates jobs of this home may use."""
        named = [folder.expanduser() for folder in self._settings.templates]
        mine = self._settings.home / "templates"
        known = GoodTexts(self._settings.home).folders()
        return {f.resolve() for f in (*named, mine, *known) if f.is_dir()}

    def told(self, path: Path) -> list[tuple[int, str]]:
        """Lines for the log about a file that was saved, each with its level."""
        shelf = find_library(self._settings, self._project(path))
        found = next((f for f in shelf.found if f.path.resolve() == path.resolve()), None)
        lines = _gone(path) if found is None else list(_lines(found))
        said = "\n".join(line for _, line in lines)
        digest = found.source.sha256 if found and found.source else ""
        if self._told.get(path) == f"{digest}\n{said}":
            return []
        self._told[path] = f"{digest}\n{said}"
        return lines

    def _project(self, path: Path) -> Path | None:
        """The project that a file belongs to, if it is not in a folder that all projects use."""
        folder = path.resolve().parent
        common = {f.expanduser().resolve() for f in self._settings.templates}
        common.add((self._settings.home / "templates").resolve())
        return None if folder in common or folder.name != "templates" else folder.parent


def _gone(path: Path) -> list[tuple[int, str]]:
    if path.exists():  # shared texts, tests, or a file of other software
        return []
    return [(logging.INFO, f"template file {path} is gone; the next job does without it")]


def _lines(found: Found) -> Iterator[tuple[int, str]]:
    if not found.broken:
        version = found.template.version if found.template else ""
        digest = found.source.sha256[:12] if found.source else ""
        used = "the next job uses it"
        if found.hidden_by:
            used = f"hidden by the one of the same name from: {found.hidden_by}"
        yield logging.INFO, f"template {found.name} changed: version {version or digest}, {used}"
        return
    first = found.problems[0]
    place = f"{found.path}:{first.line}:{first.column}"
    used = "it is not used"
    if found.kept_from is not None:
        used = f"the version of {found.kept_from:%Y-%m-%d %H:%M} is used"
    yield logging.WARNING, f"template {found.name} is broken, {used}: {place}: {first.message}"
