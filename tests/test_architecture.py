"""Who may know whom: the rooms of the house, kept by reading the imports of every module."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {
    "crp": ROOT / "crp",
    "crp_workflows": ROOT / "workflows" / "crp_workflows",
    "crp_activities": ROOT / "activities" / "crp_activities",
    "crp_analytics": ROOT / "analytics" / "crp_analytics",
}
OURS = tuple(ROOMS)

IO = ("duckdb", "httpx", "psutil", "subprocess", "socket", "sqlite3", "xllamacpp", "filelock")
"""What a workflow must not come near: the sandbox aborts on some, replay breaks on the others."""

BOTTOM = ("crp.models", "crp.errors", "crp.config", "crp.stages", "crp.telemetry.settings")
"""What everybody may know; `crp.language.schema` is the data of the template language."""


def _name(room: str, path: Path) -> str:
    parts = [room, *path.relative_to(ROOMS[room]).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_name(room, path): path for room, folder in ROOMS.items() for path in folder.rglob("*.py")}


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _statements(tree: ast.AST, *, only_at_import: bool) -> Iterator[ast.AST]:
    """Every node that runs; with `only_at_import`, only those that run when the module is loaded.

    What stands under TYPE_CHECKING never runs.
    """
    for node in ast.iter_child_nodes(tree):
        if _is_type_checking(node):
            continue
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if only_at_import and function:
            continue
        yield node
        yield from _statements(node, only_at_import=only_at_import)


def imports(module: str, *, only_at_import: bool = False) -> set[str]:
    """The modules that a module names in its imports, ours in full."""
    tree = ast.parse(FILES[module].read_text("utf-8"))
    found: set[str] = set()
    for node in _statements(tree, only_at_import=only_at_import):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else str(node.module) for name in names}
    return found


def within(name: str, *rooms: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def those(*rooms: str) -> list[str]:
    return sorted(module for module in FILES if within(module, *rooms))


def breaches(modules: list[str], *forbidden: str, but: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{module} imports {name}"
        for module in modules
        for name in sorted(imports(module))
        if within(name, *forbidden) and not within(name, *but)
    ]


def test_every_room_was_found() -> None:
    assert all(len(those(room)) > 5 for room in OURS)


def test_the_bottom_knows_only_itself_and_the_data_of_the_language() -> None:
    assert not breaches(list(BOTTOM), *OURS, but=(*BOTTOM, "crp.language.schema"))
    assert not breaches(["crp.language.schema"], *OURS, but=("crp.models", "crp.errors"))


def test_models_and_errors_do_not_know_the_stages_or_the_settings() -> None:
    assert not breaches(["crp.models", "crp.errors"], "crp.stages", "crp.config", "crp.language")


def test_the_language_and_the_store_do_not_know_each_other() -> None:
    assert not breaches(those("crp.language"), "crp_analytics")
    assert not breaches(those("crp_analytics"), "crp.language")


def test_the_language_is_pure() -> None:
    above = ("crp_activities", "crp_workflows", "crp.config", "temporalio", *IO)
    assert not breaches(those("crp.language"), *above)


def test_workflows_and_activities_do_not_know_each_other() -> None:
    assert not breaches(those("crp_workflows"), "crp_activities")
    assert not breaches(those("crp_activities"), "crp_workflows")


def test_nothing_below_knows_the_front_door() -> None:
    door = ("crp.worker", "crp.local", "crp.advanced", "crp.cli", "crp.client", "crp.plugin")
    below = those("crp.language", "crp_analytics", "crp_activities", "crp_workflows")
    assert not breaches([*below, *BOTTOM], *door)


def test_the_store_does_not_know_temporal() -> None:
    assert not breaches(those("crp_analytics"), "temporalio")


def test_decisions_do_not_know_temporal_but_the_workflow_does() -> None:
    temporal = (".reasoning", ".options", ".activity_stages", ".attributes")
    pure = [m for m in those("crp_workflows") if not m.endswith(temporal)]
    assert not breaches(pure, "temporalio")
    assert breaches(["crp_workflows.reasoning"], "temporalio")


def reached(start: list[str]) -> dict[str, str]:
    """Our modules that are loaded with these, each with the one that brings it."""
    found = dict.fromkeys(start, "")
    todo = list(start)
    while todo:
        module = todo.pop()
        for name in imports(module, only_at_import=True):
            packages = [".".join(name.split(".")[:n]) for n in range(1, name.count(".") + 2)]
            for part in packages:
                if part in FILES and part not in found:
                    found[part] = module
                    todo.append(part)
    return found


WORKFLOW_SIDE = reached(those("crp_workflows"))


@pytest.mark.parametrize("module", sorted(WORKFLOW_SIDE))
def test_what_a_workflow_loads_does_no_io(module: str) -> None:
    found = [name for name in imports(module, only_at_import=True) if within(name, *IO)]
    assert not found, f"{module}, brought by {WORKFLOW_SIDE[module] or 'itself'}"


@pytest.mark.parametrize("module", sorted(WORKFLOW_SIDE))
def test_what_a_workflow_loads_calls_nothing_of_pathlib_at_import(module: str) -> None:
    """The sandbox refuses it; the class may be named, as in a type."""
    tree = ast.parse(FILES[module].read_text("utf-8"))
    called = [
        ast.unparse(node)
        for node in _statements(tree, only_at_import=True)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[0] in ("Path", "files")
    ]
    assert not called


def test_a_workflow_does_not_load_settings_store_or_activities() -> None:
    assert not {m for m in WORKFLOW_SIDE if within(m, "crp.config", "crp_activities")}
    assert not {m for m in WORKFLOW_SIDE if within(m, "crp_analytics", "crp.cli", "crp.local")}


def test_only_the_command_line_knows_the_command_line() -> None:
    others = [m for m in FILES if not within(m, "crp.cli") and m != "crp.__main__"]
    assert not breaches(others, "crp.cli")


def test_the_packages_own_file_is_empty_but_for_its_docstring() -> None:
    """Temporal's sandbox imports it, and the lowest and the highest layer share the package."""
    body = ast.parse((ROOMS["crp"] / "__init__.py").read_text("utf-8")).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


def test_no_module_hides_one_of_the_standard_library() -> None:
    assert not {name for name in OURS if name in sys.stdlib_module_names}
